"""What the tasks of a report are told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.schemas.annotations import Frozen


class ReportPartition(Frozen):
    """Aggregate what a report needs of a partition.

    `derived` are pairs of annotators that saw each other's answers, `keeps_low` the filters that keep low values.
    """

    partition: PartitionRecord
    reads: PartitionOutputs
    derived: tuple[tuple[str, str], ...]
    keeps_low: tuple[str, ...]
    fingerprint: str


class Gather(Frozen):
    """Add up the report aggregates of a few partitions. `inputs` are paths by table name."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("inputs", "out"))

    inputs: tuple[Mapping[str, str], ...]
    out: str


class Reduce(Frozen):
    """Sum up the vocabulary of the buckets [low, high) over all gathered terms; `wanted` is a JSON list of classes."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("terms", "low", "high", "wanted", "out"))

    terms: tuple[str, ...]
    low: int
    high: int
    wanted: str = ""
    out: str


class DrawGallery(Frozen):
    """Write what a report shows of some images of one partition: a small picture and all annotations."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("partition", "reads", "image_ids", "images", "out"))

    partition: PartitionRecord
    reads: PartitionOutputs
    image_ids: tuple[str, ...]
    images: ImageLimits
    out: str


class ComparePartition(Frozen):
    """Compare the kept annotations of one partition with those of the same images in another root."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("partition", "reads", "others", "out"), never=("other_root",))

    partition: PartitionRecord
    reads: PartitionOutputs
    other_root: str
    others: tuple[tuple[PartitionRecord, PartitionOutputs], ...]
    out: str
