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


class PackPartition(Frozen):
    """Copy the original bytes of new images into a partition, with their tables."""

    partition: str
    ingest: int
    scans: tuple[str, ...]
    rows: tuple[tuple[int, tuple[int, ...]], ...]  # (index into scans, rows to take, in order)
    matches: tuple[str, ...]  # outputs of deduplication
    twins: tuple[str, ...]  # twin group per row


class AddToPartition(Frozen):
    """Write what a later ingest found out about images that are already in a partition."""

    partition: str
    ingest: int
    scans: tuple[str, ...]
    matches: tuple[str, ...]
