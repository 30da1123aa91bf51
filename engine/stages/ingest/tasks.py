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


class TwinInput(Frozen):
    """A run of scans, the first of them numbered `first`; or of tables of earlier partitions' images."""

    first: int = 0
    scans: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


class GroupTwins(Frozen):
    """Do a part of a step of grouping near-twins (`twin_steps`), or all of them."""

    step: str = "all"
    round_: int = 0
    part: int = 0
    inputs: tuple[TwinInput, ...] = ()
    num_buckets: int
    runs: tuple[int, ...]  # first scan of each run of scans
    folder: str
    matches: tuple[str, ...]  # outputs of deduplication


class PackPartition(Frozen):
    """Copy the original bytes of new images into a partition, with their tables."""

    partition: str
    ingest: int
    scans: tuple[str, ...]
    rows: tuple[tuple[int, tuple[int, ...]], ...]  # (index into scans, rows to take, in order)
    matches: tuple[str, ...]  # outputs of deduplication
    twins: str  # folder of the tables with the twin groups


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

    `relisted` are sources that were listed again, `listings` tables of their files; COCO jsons, `whole`, mention no
    others. `quarantines` and `scans` are what was found in them.
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
