"""The worker's side of an export: one group of partitions to shards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from typing import ClassVar

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.libraries import PILLOW, Versions, versions_here
from fld_engine.engine.data.partition import PartitionImages, load_view
from fld_engine.engine.data.records import FileRecord, PartitionOutputs, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.export_settings import Metadata
from fld_engine.engine.plan.selection import Selection
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.stages.export.assemble import assemble, split_of
from fld_engine.engine.stages.export.facts import GroupFacts, add, classes_of, facts_of, unsaid_of
from fld_engine.engine.stages.export.manifest import ShardRecord
from fld_engine.engine.stages.export.shards import PreparedSample, ShardLimits, prepare, write_group
from fld_engine.schemas.annotations import Frozen


class GroupResult(Frozen):
    """The shards of one group of partitions, and what was counted on the way.

    `index` is a table of the root, the rows of their samples for `index.parquet`; `partitions` are ids. `made_with` are
    the versions of what encoded images anew, where any was.
    """

    group: int
    shards: tuple[ShardRecord, ...]
    index: FileRecord
    partitions: tuple[str, ...]
    facts: GroupFacts
    made_with: tuple[Versions, ...] = ()


class ExportGroup(Frozen):
    """Write the shards of one group of partitions."""

    in_fingerprints: ClassVar[Fields] = Fields(
        always=(
            "group", "seed", "covers", "max_samples", "max_bytes", "max_target_tokens", "select", "splits", "images",
        ),
        never=("out", "partitions"),
    )  # fmt: skip

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
    metadata: Metadata = "strip"
    classes: bool = False  # whether samples have the keys of classes that sources tell


def export_group(task: ExportGroup, worker: Worker) -> GroupResult:
    """Assemble the samples of a group's partitions and write its shards."""
    store = worker.store
    places: dict[str, tuple[PartitionImages, int]] = {}
    for record in task.partitions:
        images = PartitionImages(store, record, task.images)
        places |= {images.identity(i)[0]: (images, i) for i in range(len(images))}
    units = count()
    facts: list[GroupFacts] = []

    def on_sample(image_id: str) -> None:
        unit = next(units)
        worker.report(Span(step="export", start=unit, stop=unit + 1), 1)

    def read_image(image_id: str) -> memoryview:
        images, index = places[image_id]
        return images.view(index)

    prepared = list(_prepared(store, task, facts))
    written = write_group(
        prepared,
        read_image,
        store.within(task.out),
        group=task.group,
        seed=task.seed,
        limits=ShardLimits(max_samples=task.max_samples, max_bytes=task.max_bytes),
        images=task.images,
        metadata=task.metadata,
        on_sample=on_sample,
    )
    content = fingerprint({"shards": [shard.sha256 for shard in written.shards]})
    index = store.write_table(f"stages/export/g{task.group:05d}-{content}.index.parquet", written.index)
    return GroupResult(
        group=task.group,
        shards=tuple(written.shards),
        index=index,
        partitions=tuple(record.id for record in task.partitions),
        facts=add(facts),
        made_with=(versions_here([PILLOW]),) if any(sample.reencoded for sample in prepared) else (),
    )


def _prepared(store: Store, task: ExportGroup, facts: list[GroupFacts]) -> Iterator[PreparedSample]:
    """The samples of all partitions; `facts` gets those of each, and what is unsaid."""
    for record, cover in zip(task.partitions, task.covers, strict=True):
        view = load_view(store, record, cover)
        facts.append(facts_of(view, task.select, task.seed))
        samples = assemble(
            view,
            lambda group: split_of(group, task.seed, task.splits),
            task.max_target_tokens,
            select=task.select,
            seed=task.seed,
            classes=task.classes,
        )
        for sample in samples:
            if sample.unsaid:
                facts.append(unsaid_of(sample))
            if task.classes:
                facts.append(classes_of(sample))
            yield prepare(sample)
