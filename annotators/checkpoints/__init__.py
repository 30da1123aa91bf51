"""Checkpoints of `transformers`: which files they are made of, how they are loaded, and passes through them."""
