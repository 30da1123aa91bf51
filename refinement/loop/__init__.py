"""Rounds over a root: train, annotate again, merge, gate, and write what stands."""
