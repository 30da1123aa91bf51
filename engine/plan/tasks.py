"""What a driver asks of a worker: all of it crosses processes. What a worker answers is in `engine.run.messages`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.plan.config import AnnotatorConfig, FilterConfig
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.selection import Selection
from fld_engine.engine.sources.item import SourceChunk
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import Kind


class Span(Frozen):
    """Units [start, stop) of a step: images of a partition, or items of a source chunk."""

    step: str
    start: int
    stop: int


class Isolation(Frozen):
    """What earlier attempts at a task learnt about poison.

    `suspects` are run first and apart; they tile the batches that a worker was lost in. `condemned` units are not run
    again: each is recorded as failed with its reason. A `careful` worker waits before every span until the driver
    knows of it; others may die with their last words unheard.
    """

    careful: bool = False
    suspects: tuple[Span, ...] = ()
    condemned: tuple[tuple[Span, str], ...] = ()


class AnnotateStep(Frozen):
    """Run one annotator over a partition. `replays` names the output whose done images are taken over."""

    name: str
    config: AnnotatorConfig
    reads: frozenset[Kind]
    upstream: Mapping[str, str]  # annotator → fingerprint of its output for this partition
    required_upstream: tuple[str, ...]  # those without whose result an image is not run
    fingerprint: str
    replays: str = ""


class DecideStep(Frozen):
    """Run the filters over a partition."""

    filters: Mapping[str, FilterConfig]
    outputs: Mapping[str, str]  # annotator → fingerprint, in graph order
    fingerprint: str


class ReportStep(Frozen):
    """Aggregate what a report needs of a partition.

    `derived` are pairs of annotators that saw each other's answers, `keeps_low` the filters that keep low values.
    """

    reads: PartitionOutputs
    derived: tuple[tuple[str, str], ...]
    keeps_low: tuple[str, ...]
    fingerprint: str


class PartitionTask(Frozen):
    """All the missing steps of one partition that one worker can do, in order; groups share the decoded images."""

    kind: Literal["partition"] = "partition"
    root: str
    seed: int
    partition: PartitionRecord
    groups: tuple[tuple[AnnotateStep, ...], ...] = ()
    decide: DecideStep | None = None
    cover: PartitionOutputs | None = None
    report: ReportStep | None = None
    images: ImageLimits
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return self.partition.id


class ScanTask(Frozen):
    """Read, hash and check every item of a source chunk."""

    kind: Literal["scan"] = "scan"
    root: str
    chunk: SourceChunk
    index: int
    out: str
    images: ImageLimits
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return f"chunk {self.index}"


class DeduplicateTask(Frozen):
    """Find first occurrences among the ids of one hash-prefix bucket."""

    kind: Literal["deduplicate"] = "deduplicate"
    root: str
    bucket: int
    num_buckets: int
    scans: tuple[str, ...]
    indexes: tuple[str, ...]
    out: str
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return f"bucket {self.bucket}"


class PackTask(Frozen):
    """Copy the original bytes of new images into a partition, with their tables."""

    kind: Literal["pack"] = "pack"
    root: str
    partition: str
    ingest: int
    scans: tuple[str, ...]
    rows: tuple[tuple[int, tuple[int, ...]], ...]  # (index into scans, rows to take, in order)
    matches: tuple[str, ...]  # outputs of deduplication
    twins: tuple[str, ...]  # twin group per row
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return self.partition


class AdditionTask(Frozen):
    """Write what a later ingest found out about images that are already in a partition."""

    kind: Literal["addition"] = "addition"
    root: str
    partition: str
    ingest: int
    scans: tuple[str, ...]
    matches: tuple[str, ...]
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return f"{self.partition}+{self.ingest}"


class ExportTask(Frozen):
    """Write the shards of one group of partitions."""

    kind: Literal["export"] = "export"
    root: str
    out: str
    group: int
    seed: int
    partitions: tuple[PartitionRecord, ...]
    covers: tuple[PartitionOutputs, ...]  # what to read of each partition
    max_samples: int
    max_bytes: int
    max_target_tokens: int
    select: Selection
    splits: Mapping[str, float]
    images: ImageLimits
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return f"group {self.group}"


class GatherTask(Frozen):
    """Add up the report aggregates of a few partitions. `inputs` are paths by table name."""

    kind: Literal["gather"] = "gather"
    root: str
    inputs: tuple[Mapping[str, str], ...]
    out: str
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return self.out.rsplit("/", 1)[-1]


class ReduceTask(Frozen):
    """Sum up the vocabulary of the buckets [low, high) over all gathered terms; `wanted` is a JSON list of classes."""

    kind: Literal["reduce"] = "reduce"
    root: str
    terms: tuple[str, ...]
    low: int
    high: int
    wanted: str = ""
    out: str
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return f"buckets {self.low} to {self.high}"


class GalleryTask(Frozen):
    """Write what a report shows of some images of one partition: a small picture and all annotations."""

    kind: Literal["gallery"] = "gallery"
    root: str
    partition: PartitionRecord
    reads: PartitionOutputs
    image_ids: tuple[str, ...]
    images: ImageLimits
    out: str
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return self.partition.id


class CompareTask(Frozen):
    """Compare the kept annotations of one partition with those of the same images in another root."""

    kind: Literal["compare"] = "compare"
    root: str
    partition: PartitionRecord
    reads: PartitionOutputs
    other_root: str
    others: tuple[tuple[PartitionRecord, PartitionOutputs], ...]
    out: str
    isolation: Isolation = Isolation()

    @property
    def label(self) -> str:
        return self.partition.id


class CallTask(Frozen):
    """Call a function of another package on the root: `function` is "module:name", `arguments` the JSON it takes.

    So stages above the engine run on its runners. The function answers with a model, and is safe to call twice.
    """

    kind: Literal["call"] = "call"
    root: str
    function: str
    arguments: str
    label: str
    isolation: Isolation = Isolation()


Task = Annotated[
    PartitionTask
    | ScanTask
    | DeduplicateTask
    | PackTask
    | AdditionTask
    | ExportTask
    | GatherTask
    | ReduceTask
    | GalleryTask
    | CompareTask
    | CallTask,
    Field(discriminator="kind"),
]


class Lane(Frozen):
    """Tasks that the same workers can do: equal resource requests, models held side by side."""

    name: str
    resources: Resources
    tasks: Sequence[Task]
