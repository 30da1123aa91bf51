"""Files beside the shards, one module for each kind of reader; the same shards give the same bytes."""
