"""What the tasks of an ingest are told."""

from __future__ import annotations

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.sources.item import SourceChunk
from fld_engine.schemas.annotations import Frozen


class ScanChunk(Frozen):
    """Read, hash and check every item of a source chunk."""

    chunk: SourceChunk
    index: int
    out: str
    images: ImageLimits


class DeduplicateBucket(Frozen):
    """Find first occurrences among the ids of one hash-prefix bucket."""

    bucket: int
    num_buckets: int
    scans: tuple[str, ...]
    indexes: tuple[str, ...]
    out: str


class PackPartition(Frozen):
    """Copy the original bytes of new images into a partition, with their tables."""

    partition: str
    ingest: int
    scans: tuple[str, ...]
    rows: tuple[tuple[int, tuple[int, ...]], ...]  # (index into scans, rows to take, in order)
    matches: tuple[str, ...]  # outputs of deduplication
    twins: tuple[str, ...]  # twin group per row


class RevisePartition(Frozen):
    """Write what sources say now of images that are already in a partition, where it is something else than before.

    `names` are the sources of the config; `gone` are tables of places that no longer say anything. `unrevised` is the
    fingerprint of all that was said before any revision; `broken` are files that could not be read to their ends.
    """

    record: PartitionRecord
    unrevised: str
    ingest: int
    scans: tuple[str, ...]
    matches: tuple[str, ...]
    gone: tuple[str, ...]
    broken: tuple[str, ...]
    names: tuple[str, ...]


class FindGone(Frozen):
    """Find places of earlier ingests which sources that were read again have no more, in one hash-prefix bucket.

    `relisted` are sources that were listed again, of which every JSON in `whole` was read from beginning to end;
    `listings` are tables of their files. `quarantines` and `scans` are what was found in them.
    """

    bucket: int
    num_buckets: int
    relisted: tuple[str, ...]
    whole: tuple[str, ...]
    listings: tuple[str, ...]
    scans: tuple[str, ...]
    quarantines: tuple[str, ...]
    indexes: tuple[str, ...]
    out: str
