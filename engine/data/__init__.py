"""What a dataset root holds, and how it is read and written; nothing here knows of stages or configs."""
