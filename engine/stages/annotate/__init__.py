"""Run annotators over partitions."""
