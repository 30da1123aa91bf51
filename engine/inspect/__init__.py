"""Looking at a root without changing it."""
