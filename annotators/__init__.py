"""Specialists: everything that needs a model, one file each."""
