"""How a student is trained: its settings, its examples, one worker's loop, and the workers on Ray."""
