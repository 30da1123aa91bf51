"""The journal of ingests: a partition exists because a finished ingest says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import yaml
from pydantic import Field

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.source_account import Accounts, SourceAccount, last_read, standing
from fld_engine.engine.data.store import CONFIG_FILE, Store
from fld_engine.schemas.annotations import Frozen


class AdditionResult(Frozen):
    """What one ingest added to a partition of an earlier one.

    Fingerprints are those of the partition up to here. Those of additions of version 0.1 are given by removals alone:
    they write the files again, and what was made from them stays. No files: nothing is said that was not said before.
    """

    partition: str
    files: Mapping[str, FileRecord]
    annotations_fingerprint: str = ""
    labels_fingerprint: str = ""


class IngestRecord(Frozen):
    """The journal of a finished ingest; its partitions exist because it says so.

    Images: found = new + duplicates + known + quarantined. `rejected_annotations` of images that are used count apart.
    Of `revised` images, sources say something else than before. `stamps` are those of the chunks, `readings` how their
    sources were read. `again` are rows of the quarantine of earlier ingests whose places this one looked at again, so
    that they count no more; what became of them, `again_images` and `again_annotations` count by the reason that they
    had. `images` is what was accepted. `sources` has accounts by source and by key of the chunk, see
    `source_account.standing`, and `known_in` how many images of a chunk were known, where any were; ingests of earlier
    versions have none.
    """

    number: int
    chunks: tuple[str, ...]  # fingerprints of the source chunks it covered
    found: int
    new: int
    duplicates: int
    known: int
    quarantined: Mapping[str, int]  # by reason
    rejected_annotations: Mapping[str, int]  # by reason
    partitions: tuple[PartitionRecord, ...]
    additions: tuple[AdditionResult, ...] = ()
    quarantine: FileRecord
    revised: int = 0
    stamps: Mapping[str, str] = Field(default_factory=dict)
    readings: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    again: FileRecord | None = None
    again_images: Mapping[str, int] = Field(default_factory=dict)
    again_annotations: Mapping[str, int] = Field(default_factory=dict)
    images: ImageLimits | None = None
    sources: Accounts = Field(default_factory=dict)
    known_in: Mapping[str, Mapping[str, int]] = Field(default_factory=dict)


class IngestTotals(Frozen):
    """Sums over the ingests of a root; the fields are those of `IngestRecord`.

    What was refused and looked at again counts once, as what became of it then; what was known counts once, however
    often it was seen again.
    """

    found: int
    new: int
    duplicates: int
    known: int
    quarantined: Mapping[str, int]
    rejected_annotations: Mapping[str, int]
    sources: Mapping[str, SourceAccount]


def totals(journal: Sequence[IngestRecord]) -> IngestTotals:
    """What all ingests found, and what became of it."""
    quarantined: Counter[str] = Counter()
    rejected: Counter[str] = Counter()
    for ingest in journal:
        quarantined.update(ingest.quarantined)
        quarantined.subtract(ingest.again_images)
        rejected.update(ingest.rejected_annotations)
        rejected.subtract(ingest.again_annotations)
    known = _known(journal)
    return IngestTotals(
        found=sum(ingest.found - ingest.known - sum(ingest.again_images.values()) for ingest in journal) + known,
        new=sum(ingest.new for ingest in journal),
        duplicates=sum(ingest.duplicates for ingest in journal),
        known=known,
        quarantined=dict(+quarantined),
        rejected_annotations=dict(+rejected),
        sources=standing(ingest.sources for ingest in journal),
    )


def _known(journal: Sequence[IngestRecord]) -> int:
    """Known images, of each chunk as it was read last; ingests that do not tell chunks apart count whole."""
    whole = sum(ingest.known for ingest in journal if not ingest.known_in)
    parts = last_read(ingest.sources for ingest in journal)
    return whole + sum(
        journal[number].known_in.get(name, {}).get(key, 0)
        for name, chunks in parts.items()
        for key, number in chunks.items()
    )


def read_journal(store: Store) -> list[IngestRecord]:
    """Records of the finished ingests, in order."""
    names = sorted(n for n in store.list_names("ingest") if n.endswith(".json"))
    records: list[IngestRecord] = [store.read_model(f"ingest/{name}", IngestRecord) for name in names]
    if all(record.images is not None for record in records):
        return records
    accepted = _limits_of_config(store)
    return [r if r.images is not None else r.model_copy(update={"images": accepted}) for r in records]


def note_limits(store: Store, limits: ImageLimits) -> None:
    """Have every ingest say what it accepted, before the root gets a config with these limits, where they are others.

    Ingests of version 0.1 leave it to the config.
    """
    if _limits_of_config(store) in (None, limits):
        return
    for ingest in read_journal(store):
        path = f"ingest/{ingest.number:06d}.json"
        if ingest != store.read_model(path, IngestRecord):
            store.publish_model(path, ingest)


def _limits_of_config(store: Store) -> ImageLimits | None:
    if not store.exists(CONFIG_FILE):
        return None
    tree = yaml.safe_load(store.read_bytes(CONFIG_FILE)) or {}
    return ImageLimits.model_validate(tree.get("images", {}))


def read_partitions(journal: Sequence[IngestRecord]) -> list[PartitionRecord]:
    """All partitions, with what later ingests added to them or revised, and the limits of their images."""
    records = {
        record.id: record.model_copy(update={"limits": ingest.images})
        for ingest in journal
        for record in ingest.partitions
    }
    for ingest in journal:
        for addition in ingest.additions:
            record = records[addition.partition]
            additions = (*record.additions, addition.files)
            records[record.id] = record.model_copy(
                update={
                    "additions": additions,
                    "annotations_fingerprint": addition.annotations_fingerprint
                    or annotations_fingerprint([record.files, *additions]),
                    "labels_fingerprint": addition.labels_fingerprint,
                }
            )
    return list(records.values())


def unrevised(journal: Sequence[IngestRecord]) -> dict[str, str]:
    """Partition → fingerprint of all that sources said of its images before any revision."""
    plain = [
        ingest.model_copy(update={"additions": tuple(a for a in ingest.additions if "places" not in a.files)})
        for ingest in journal
    ]
    return {record.id: record.annotations_fingerprint for record in read_partitions(plain)}


def annotations_fingerprint(files: Iterable[Mapping[str, FileRecord]]) -> str:
    """Changes when the source annotations or the gold marks of a partition change."""
    return fingerprint({"files": [{n: f.sha256 for n, f in sorted(group.items()) if n != "tar"} for group in files]})
