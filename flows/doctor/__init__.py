"""`fld doctor`: whether this machine has what a run needs, and how what it lacks is had."""
