"""`.nv-meta/` of Megatron-Energon, but its database: what `energon prepare` would write, without reading the shards.

Energon opens an export as it stands: `get_train_dataset(export)` gives crude samples `jpg`, `json`, `txt`, for a cooker
of one's own; with `dataset_config="captioning.yaml"`, an image and its best brief text as a `CaptioningSample`.
"""

from __future__ import annotations

import json
import struct
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.stages.export.manifest import SHARDS, ShardRecord

META = ".nv-meta"
ENERGON_VERSION = "7.4.1"
"""The release whose `prepare` writes these files so."""

DATASET: dict[str, Any] = {"__module__": "megatron.energon", "__class__": "CrudeWebdataset"}
CAPTIONING: dict[str, Any] = {
    "__module__": "megatron.energon",
    "__class__": "CaptioningWebdataset",
    "field_map": {"image": "jpg", "caption": "txt"},
}


def energon_files(shards: Sequence[ShardRecord]) -> dict[str, bytes]:
    """Bytes by path. A split of ours is a split part of Energon's; the uuid follows from the shards' hashes."""
    parts = {
        split: [f"{SHARDS}/{shard.name}" for shard in shards if shard.split == split]
        for split in sorted({shard.split for shard in shards})
    }
    info = {
        "energon_version": ENERGON_VERSION,
        "shard_counts": {f"{SHARDS}/{shard.name}": shard.samples for shard in shards},
    }
    content = sha256_hex("".join(shard.sha256 for shard in shards).encode())
    return {
        f"{META}/dataset.yaml": _yaml(DATASET),
        f"{META}/captioning.yaml": _yaml(CAPTIONING),
        f"{META}/split.yaml": _yaml({"split_parts": parts, "exclude": []}),
        f"{META}/.info.json": json.dumps(info, indent=2).encode(),
        f"{META}/index.uuid": str(uuid.uuid5(uuid.UUID(int=0), content)).encode(),
    }


def shard_offsets(offsets: Iterable[int]) -> bytes:
    """The `.tar.idx` of a shard: where each sample begins, then where the last one ends, as 64-bit little-endian."""
    return b"".join(struct.pack("<Q", offset) for offset in offsets)


def _yaml(value: Any) -> bytes:
    return yaml.safe_dump(value, sort_keys=False).encode()
