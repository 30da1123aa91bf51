"""The journal of ingests: a partition exists because a finished ingest says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.source_account import SourceAccount, standing
from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen


class AdditionResult(Frozen):
    """What one ingest added to a partition of an earlier one.

    `annotations_fingerprint` of the partition up to here is given by removals alone: they write the files again, and
    what was made from them stays.
    """

    partition: str
    files: Mapping[str, FileRecord]
    annotations_fingerprint: str = ""


class IngestRecord(Frozen):
    """The journal of a finished ingest; its partitions exist because it says so.

    Images: found = new + duplicates + known + quarantined. `rejected_annotations` of images that are used count apart.
    `sources` has an account of each source that was read; ingests of earlier versions have none.
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
    sources: Mapping[str, SourceAccount] = Field(default_factory=dict)


class IngestTotals(Frozen):
    """Sums over the ingests of a root; the fields are those of `IngestRecord`."""

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
        rejected.update(ingest.rejected_annotations)
    return IngestTotals(
        found=sum(ingest.found for ingest in journal),
        new=sum(ingest.new for ingest in journal),
        duplicates=sum(ingest.duplicates for ingest in journal),
        known=sum(ingest.known for ingest in journal),
        quarantined=dict(quarantined),
        rejected_annotations=dict(rejected),
        sources=standing(ingest.sources for ingest in journal),
    )


def read_journal(store: Store) -> list[IngestRecord]:
    """Records of the finished ingests, in order."""
    names = sorted(n for n in store.list_names("ingest") if n.endswith(".json"))
    return [store.read_model(f"ingest/{name}", IngestRecord) for name in names]


def read_partitions(journal: Sequence[IngestRecord]) -> list[PartitionRecord]:
    """All partitions, with what later ingests added to them."""
    records = {record.id: record for ingest in journal for record in ingest.partitions}
    for ingest in journal:
        for addition in ingest.additions:
            record = records[addition.partition]
            additions = (*record.additions, addition.files)
            records[record.id] = record.model_copy(
                update={
                    "additions": additions,
                    "annotations_fingerprint": addition.annotations_fingerprint
                    or annotations_fingerprint([record.files, *additions]),
                }
            )
    return list(records.values())


def annotations_fingerprint(files: Iterable[Mapping[str, FileRecord]]) -> str:
    """Changes when the source annotations or the gold marks of a partition change."""
    return fingerprint({"files": [{n: f.sha256 for n, f in sorted(group.items()) if n != "tar"} for group in files]})
