"""Complete an export: the files beside the shards, and the manifest last.

    export/
    ├── manifest.json            with it the export is complete
    ├── SHA256SUMS               for `sha256sum -c`: every file but itself
    ├── index.parquet            where every sample stands, and what it has
    ├── README.md                Hugging Face dataset card
    ├── reader.py                a reader in one file of plain Python
    ├── schema/                  JSON Schema and Arrow schema of a sample
    ├── wids-{split}.json        shard list of wids
    ├── .nv-meta/                what Megatron-Energon prepares
    └── shards/
        ├── sizes.json           samples per shard, where OpenCLIP looks for them
        ├── {split}-{group}-{number}.tar
        └── {split}-{group}-{number}.tar.idx     offsets of its samples, as Megatron-Energon reads them

Rewriting an export: `withdraw_manifest` first, so that from now on it is visibly incomplete; then the new shards, each
atomically under its name; then `write_export_index`, which removes the shards that are no longer listed and writes the
other files, the manifest last. Killed anywhere, it is either the old export, the new one, or one without a manifest.

All of it comes from what the workers said of their groups: no shard is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.card import dataset_card
from fld_engine.engine.stages.export.companions.contract import contract_files
from fld_engine.engine.stages.export.companions.energon import energon_files
from fld_engine.engine.stages.export.companions.energon_index import remove_energon_index, write_energon_index
from fld_engine.engine.stages.export.companions.sample_table import write_sample_index
from fld_engine.engine.stages.export.companions.shard_lists import SIZES, sizes_json, wids_files
from fld_engine.engine.stages.export.facts import ExportFacts
from fld_engine.engine.stages.export.manifest import (
    IDX,
    MANIFEST,
    SHARDS,
    FileEntry,
    Manifest,
    ShardRecord,
    make_manifest,
    manifest_json,
)

SUMS = "SHA256SUMS"
CARD = "README.md"


def sha256sums(manifest: Manifest) -> bytes:
    """Lines for `sha256sum -c`, run in the export folder."""
    sums = {f"{SHARDS}/{shard.name}": shard.sha256 for shard in manifest.shards}
    sums |= {f"{SHARDS}/{shard.name}{IDX}": shard.index_sha256 for shard in manifest.shards}
    sums |= {file.path: file.sha256 for file in manifest.files}
    sums[MANIFEST] = sha256_hex(manifest_json(manifest))
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums)).encode()


def withdraw_manifest(out: Store) -> None:
    """Mark an export as incomplete before any of its shards changes; nothing happens where there is none yet."""
    out.delete(MANIFEST)


def write_export_index(
    out: Store,
    records: Iterable[ShardRecord],
    *,
    index: Iterable[pa.Table],
    config: Mapping[str, Any],
    models: Mapping[str, ModelIdentity],
    facts: ExportFacts | None = None,
    energon_index: bool = True,
) -> Manifest:
    """Complete the export in folder `out` whose shards `records` describe.

    `index` gives the index rows of each group, in group order; one group is held at a time, and it is asked for once.
    Removes shards that are not listed, then writes the files beside the shards and, last, the manifest.
    """
    manifest = make_manifest(records, config=config, models=models, facts=facts)
    withdraw_manifest(out)
    for name in sorted(unlisted_shards(out, manifest)):
        out.delete(f"{SHARDS}/{name}")
    small = _small_files(manifest)
    for name in sorted(out.list_names("")):
        if name.startswith("wids-") and name not in small:
            out.delete(name)  # of a split that is no more
    files = [_write(out, path, data) for path, data in small.items()]
    if energon_index:
        with write_energon_index(out, manifest.shards) as database:
            files.append(write_sample_index(out, index, also=database.add))
        files.append(database.entry)
    else:
        remove_energon_index(out)
        files.append(write_sample_index(out, index))
    manifest = manifest.model_copy(update={"files": tuple(sorted(files, key=lambda file: file.path))})
    out.publish_bytes(SUMS, sha256sums(manifest))
    out.publish_bytes(MANIFEST, manifest_json(manifest))
    return manifest


def _small_files(manifest: Manifest) -> dict[str, bytes]:
    """Bytes by path of all that follows from the shards' records alone."""
    return {
        CARD: dataset_card(manifest).encode(),
        SIZES: sizes_json(manifest.shards),
        **wids_files(manifest.shards),
        **energon_files(manifest.shards),
        **contract_files(classes=bool(manifest.facts.classes)),
    }


def _write(out: Store, path: str, data: bytes) -> FileEntry:
    record = out.write_bytes(path, data)
    return FileEntry(path=path, bytes=record.num_bytes, sha256=record.sha256)


def unlisted_shards(out: Store, manifest: Manifest) -> set[str]:
    """Shards, their offsets, and unfinished ones that a killed worker left, which the manifest does not know."""
    listed = {name for shard in manifest.shards for name in (shard.name, shard.name + IDX)}
    return {name for name in out.list_names(SHARDS) - listed if name.endswith((".tar", IDX, ".tmp"))}
