"""Visual Genome 1.0 to 1.4."""
