"""What an export holds, as its manifest says it.

Nothing here says when, where or by whom it was made: the same samples give the same bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.stages.export.facts import ExportFacts
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.masking import masked_tree
from fld_engine.schemas.sample import SAMPLE_VERSION, Sample

MANIFEST = "manifest.json"
SHARDS = "shards"
IDX = ".idx"
"""After a shard's name, that of its offsets."""
EXTENSIONS = ("jpg", "json", "txt")
"""Members of a sample, in their order in a shard."""


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

    @classmethod
    def total(cls, counts: Iterable[Counts]) -> Counts:
        """The sum."""
        rows = [tuple(one.__dict__.values()) for one in counts]
        return cls(**dict(zip(cls.model_fields, map(sum, zip(*rows, strict=True)), strict=False)))


class ShardRecord(Frozen):
    """What a manifest says about a shard. `name` is its file name; `bytes` and `sha256` cover the whole file.

    `index_sha256` is of the file `{name}.idx` beside it.
    """

    name: str
    split: str
    samples: int
    bytes: int
    sha256: str
    index_sha256: str
    counts: Counts


class FileEntry(Frozen):
    """What a manifest says about a file beside the shards. `path` is relative to the export."""

    path: str
    bytes: int
    sha256: str


class Manifest(Frozen):
    """The whole export. `models` maps annotator → the weights that spoke; `splits` maps split → samples.

    `files` are all other files, in path order, but the manifest and the list of sums that covers it. `facts` say where
    the samples come from and what was left out; the card is written from them.
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
    files: tuple[FileEntry, ...] = ()
    facts: ExportFacts = ExportFacts()


def count(sample: Sample) -> Counts:
    """Annotations of one sample by kind."""
    phrases = [phrase for grounding in sample.groundings for phrase in grounding.phrases]
    phrase_regions = [region for phrase in phrases for region in phrase.regions]
    return Counts.model_construct(
        texts=len(sample.texts),
        regions=len(sample.regions),
        region_texts=sum([len(region.texts) for region in sample.regions]),
        region_masks=sum([bool(region.mask) for region in sample.regions]),
        groundings=len(sample.groundings),
        phrases=len(phrases),
        phrase_regions=len(phrase_regions),
        phrase_masks=sum([bool(region.mask) for region in phrase_regions]),
        targets=len(sample.targets),
    )


def total(shards: Iterable[ShardRecord]) -> tuple[int, int, Counts, dict[str, int]]:
    """Samples, bytes, counts and samples per split of shards together."""
    shards = tuple(shards)
    splits: Counter[str] = Counter()
    for shard in shards:
        splits[shard.split] += shard.samples
    counts = Counts.total(shard.counts for shard in shards)
    return sum(shard.samples for shard in shards), sum(shard.bytes for shard in shards), counts, dict(splits)


def make_manifest(
    records: Iterable[ShardRecord],
    *,
    config: Mapping[str, Any],
    models: Mapping[str, ModelIdentity],
    facts: ExportFacts | None = None,
) -> Manifest:
    """The manifest of shards, in name order; `config` is that of `Plan.described_config`.

    The files beside the shards are added when they are written.
    """
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
    """A described config (`Plan.described_config`) without where its sources and lists lie, and without credentials."""
    lists = (
        {"exclude": [_without(one, "url", "images_url") for one in config["exclude"]]} if config.get("exclude") else {}
    )
    sources = [_without(one, "url") for one in config.get("sources", ())]
    portable: dict[str, Any] = masked_tree({**config, "sources": sources, **lists})
    return portable


def _without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in names}


def manifest_json(manifest: Manifest) -> bytes:
    return canonical_json(manifest.model_dump(mode="json")).encode()
