"""Removing images from a dataset root, for good."""
