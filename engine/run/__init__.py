"""Doing what a plan says: the driver, its workers, and the two runners that they live in."""
