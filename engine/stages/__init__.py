"""The stages of a run, a folder each."""
