"""Lists of shards with their sizes: `sizes.json` for OpenCLIP, `wids-{split}.json` for wids."""

from __future__ import annotations

from collections.abc import Sequence

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.stages.export.manifest import SHARDS, ShardRecord

SIZES = f"{SHARDS}/sizes.json"


def sizes_json(shards: Sequence[ShardRecord]) -> bytes:
    """Samples per shard file name, as OpenCLIP reads them from the shards' folder."""
    return canonical_json({shard.name: shard.samples for shard in shards}).encode()


def wids_files(shards: Sequence[ShardRecord]) -> dict[str, bytes]:
    """A `wids-shard-index-v1` per split, by path: wids has no notion of splits. Urls are relative to the file."""
    files = {}
    for split in sorted({shard.split for shard in shards}):
        listed = [
            {"url": f"{SHARDS}/{shard.name}", "nsamples": shard.samples, "filesize": shard.bytes}
            for shard in shards
            if shard.split == split
        ]
        spec = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": split, "shardlist": listed}
        files[f"wids-{split}.json"] = canonical_json(spec).encode()
    return files
