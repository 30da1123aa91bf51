"""Export: tables of a partition to nested samples, verified shards and a manifest."""
