"""What an export holds: the manifest, written last, and the index files beside the shards.

    export/
    ├── manifest.json           this module; with it the export is complete
    ├── SHA256SUMS              for `sha256sum -c`: every shard, sizes.json, the manifest
    ├── README.md               Hugging Face dataset card
    └── shards/
        ├── sizes.json          samples per shard, where OpenCLIP looks for them
        └── {split}-{group}-{number}.tar

Rewriting an export: `withdraw_manifest` first, so that from now on it is visibly incomplete; then the new shards, each
atomically under its name; then `write_export_index`, which removes the shards that are no longer listed and writes the
index files, the manifest last. Killed anywhere, it is either the old export, the new one, or one without a manifest.

Nothing here says when, where or by whom it was made: the same samples give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from engine.export.card import dataset_card
from engine.export.facts import ExportFacts
from engine.hashing import canonical_json, sha256_hex
from engine.protocols import ModelIdentity
from engine.store import Store
from schemas.annotations import Frozen
from schemas.sample import SAMPLE_VERSION, Sample

MANIFEST = "manifest.json"
SUMS = "SHA256SUMS"
CARD = "README.md"
SHARDS = "shards"
SIZES = f"{SHARDS}/sizes.json"
EXTENSIONS = ("jpg", "json", "txt")
"""Members of a sample, in their order in a shard."""

NOT_IN_MANIFEST = frozenset({"runner", "limits", "models_root"})
"""Sections of a config that change how a run goes, and not what comes out."""


class Counts(Frozen):
    """Annotations by kind, over the samples of a shard or of an export."""

    texts: int = 0
    regions: int = 0
    region_texts: int = 0
    region_masks: int = 0
    groundings: int = 0
    phrases: int = 0
    phrase_regions: int = 0
    phrase_masks: int = 0
    targets: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in Counts.model_fields})


class ShardRecord(Frozen):
    """What a manifest says about a shard. `name` is its file name; `bytes` and `sha256` cover the whole file."""

    name: str
    split: str
    samples: int
    bytes: int
    sha256: str
    counts: Counts


class Manifest(Frozen):
    """The whole export. `models` maps annotator → the weights that spoke; `splits` maps split → samples.

    `facts` say where the samples come from and what was left out; the card is written from them.
    """

    schema_version: int
    engine_version: str
    config: Mapping[str, Any]
    models: Mapping[str, ModelIdentity]
    samples: int
    bytes: int
    splits: Mapping[str, int]
    counts: Counts
    shards: tuple[ShardRecord, ...]
    facts: ExportFacts = ExportFacts()


def count(sample: Sample) -> Counts:
    """Annotations of one sample by kind."""
    phrases = [phrase for grounding in sample.groundings for phrase in grounding.phrases]
    phrase_regions = [region for phrase in phrases for region in phrase.regions]
    return Counts(
        texts=len(sample.texts),
        regions=len(sample.regions),
        region_texts=sum(len(region.texts) for region in sample.regions),
        region_masks=sum(bool(region.mask) for region in sample.regions),
        groundings=len(sample.groundings),
        phrases=len(phrases),
        phrase_regions=len(phrase_regions),
        phrase_masks=sum(bool(region.mask) for region in phrase_regions),
        targets=len(sample.targets),
    )


def total(shards: Iterable[ShardRecord]) -> tuple[int, int, Counts, dict[str, int]]:
    """Samples, bytes, counts and samples per split of shards together."""
    samples = num_bytes = 0
    counts = Counts()
    splits: Counter[str] = Counter()
    for shard in shards:
        samples += shard.samples
        num_bytes += shard.bytes
        counts += shard.counts
        splits[shard.split] += shard.samples
    return samples, num_bytes, counts, dict(splits)


def make_manifest(
    records: Iterable[ShardRecord],
    *,
    config: Mapping[str, Any],
    models: Mapping[str, ModelIdentity],
    facts: ExportFacts | None = None,
) -> Manifest:
    """The manifest of shards, in name order; of the resolved `config` it keeps what shapes the data."""
    shards = tuple(sorted(records, key=lambda record: record.name))
    samples, num_bytes, counts, splits = total(shards)
    return Manifest(
        schema_version=SAMPLE_VERSION,
        engine_version=version("fld-engine"),
        config=portable_config(config),
        models=dict(models),
        samples=samples,
        bytes=num_bytes,
        splits=splits,
        counts=counts,
        shards=shards,
        facts=facts or ExportFacts(),
    )


def portable_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """A resolved config without what differs between machines: the runner, its limits, and where sources lie."""
    kept = {key: value for key, value in config.items() if key not in NOT_IN_MANIFEST}
    kept["sources"] = [{k: v for k, v in source.items() if k != "url"} for source in config.get("sources", ())]
    return kept


def manifest_json(manifest: Manifest) -> bytes:
    return canonical_json(manifest.model_dump(mode="json")).encode()


def sizes_json(manifest: Manifest) -> bytes:
    """Samples per shard file name, as OpenCLIP reads them from the shards' folder."""
    return canonical_json({shard.name: shard.samples for shard in manifest.shards}).encode()


def sha256sums(manifest: Manifest) -> bytes:
    """Lines for `sha256sum -c`, run in the export folder."""
    sums = {f"{SHARDS}/{shard.name}": shard.sha256 for shard in manifest.shards}
    sums[SIZES] = sha256_hex(sizes_json(manifest))
    sums[MANIFEST] = sha256_hex(manifest_json(manifest))
    return "".join(f"{sums[path]}  {path}\n" for path in sorted(sums)).encode()


def withdraw_manifest(out: Store) -> None:
    """Mark an export as incomplete before any of its shards changes; nothing happens where there is none yet."""
    if out.exists(MANIFEST):
        out.fs.rm_file(out.path(MANIFEST))


def write_export_index(
    out: Store,
    records: Iterable[ShardRecord],
    *,
    config: Mapping[str, Any],
    models: Mapping[str, ModelIdentity],
    facts: ExportFacts | None = None,
) -> Manifest:
    """Complete the export in folder `out` whose shards `records` describe.

    Removes shards that are not listed, then writes card, sizes, sums and, last, the manifest.
    """
    manifest = make_manifest(records, config=config, models=models, facts=facts)
    withdraw_manifest(out)
    for name in sorted(unlisted_shards(out, manifest)):
        out.fs.rm_file(out.path(f"{SHARDS}/{name}"))
    out.write_bytes(CARD, dataset_card(manifest).encode())
    out.write_bytes(SIZES, sizes_json(manifest))
    out.write_bytes(SUMS, sha256sums(manifest))
    out.write_bytes(MANIFEST, manifest_json(manifest))
    return manifest


def unlisted_shards(out: Store, manifest: Manifest) -> set[str]:
    """Shards, and unfinished ones that a killed worker left, which the manifest does not know."""
    listed = {shard.name for shard in manifest.shards}
    return {name for name in out.list_names(SHARDS) - listed if name.endswith((".tar", ".tmp"))}
