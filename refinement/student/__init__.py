"""The student: a native Florence-2 that looks at images, and scores labels by teacher forcing."""
