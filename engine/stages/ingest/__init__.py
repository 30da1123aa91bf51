"""From sources to partitions: scan, deduplicate, pack."""
