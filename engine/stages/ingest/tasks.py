"""What the tasks of an ingest are told."""

from __future__ import annotations

from fld_engine.engine.data.images import ImageLimits
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


class AddToPartition(Frozen):
    """Write what a later ingest found out about images that are already in a partition."""

    partition: str
    ingest: int
    scans: tuple[str, ...]
    matches: tuple[str, ...]
