"""Annotate one partition: what the annotators get to see, what they said before, and the output of each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.libraries import Versions, versions_here
from fld_engine.engine.data.partition import PartitionImages, read_output, read_tables, source_tables, write_output
from fld_engine.engine.data.records import OutputRecord, PartitionRecord
from fld_engine.engine.data.rows import annotations_by_image, concat
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.work_set import cut_to_work_set, select_kinds
from fld_engine.engine.plan.config import AnnotatorConfig
from fld_engine.engine.plan.libraries import libraries_of
from fld_engine.engine.plan.reading import begin_reading
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span, Spent
from fld_engine.engine.stages.annotate.batches import Outcome, Run, annotate_group, outcome_tables, sees
from fld_engine.engine.stages.annotate.spending import Spending
from fld_engine.schemas.annotations import Annotations, Frozen, Source
from fld_engine.schemas.kinds import NOT_STORED, Kind


class AnnotateStep(Frozen):
    """Run one annotator over a partition. `replays` names the output whose done images are taken over."""

    name: str
    config: AnnotatorConfig
    reads: frozenset[Kind]
    upstream: Mapping[str, str]  # annotator → fingerprint of its output for this partition
    required_upstream: tuple[str, ...]  # those without whose result an image is not run
    fingerprint: str
    replays: str = ""


class AnnotatePartition(Frozen):
    """The missing annotators of one partition that one worker can do, in order; groups share the decoded images."""

    seed: int
    partition: PartitionRecord
    images: ImageLimits
    groups: tuple[tuple[AnnotateStep, ...], ...]


def annotate_partition(task: AnnotatePartition, worker: Worker) -> None:
    """Do the annotators of a partition that are missing, and commit the output of each."""
    live: dict[str, OutputRecord] = {}
    for group in task.groups:
        for output, spent in _annotate(task, group, worker, live):
            live[output.step] = output
            worker.commit(output, spent)


def _annotate(
    task: AnnotatePartition, group: tuple[AnnotateStep, ...], worker: Worker, live: Mapping[str, OutputRecord]
) -> list[tuple[OutputRecord, Spent]]:
    store = worker.store
    images = PartitionImages(store, task.partition, task.images)
    spending = Spending([step.name for step in group], store.traffic)
    runs, loaded, old_rows, taken_over = [], {}, {}, {}
    made_with: dict[str, tuple[Versions, ...]] = {}
    for step in group:
        with spending.of(step.name):
            annotator, loaded[step.name] = worker.annotator(step.name, step.config)
            upstream = {
                name: read_tables(store, live.get(name) or read_output(store, name, task.partition.id, fingerprint))
                for name, fingerprint in step.upstream.items()
            }
        spending.begin(step.name, annotator)
        outcomes = _blocked(step, upstream, images)
        taken_over[step.name], made_with[step.name] = 0, ()
        if step.replays:
            before = read_output(store, step.name, task.partition.id, step.replays)
            taken, old_rows[step.name] = _taken_over(store, before)
            outcomes |= taken
            made_with[step.name] = before.made_with if taken else ()
            taken_over[step.name] = len(taken)
            worker.report(Span(step=step.name, start=0, stop=len(images)), len(taken))
        known = _known(store, task, step, upstream)
        runs.append(Run(name=step.name, annotator=annotator, known=known, outcomes=outcomes))
    if not store.local and any(sees(run) and len(run.outcomes) < len(images) for run in runs):
        begin_reading(worker, 0, f"{store.url}/{task.partition.files['tar'].path}")
        images.fetch()
    annotate_group(runs, images, task.seed, worker.isolation, worker.report, worker.trust)
    outputs = []
    for step, run in zip(group, runs, strict=True):
        spending.end(step.name, run.annotator, run.seconds)
        source = Source(annotator=step.name, model=run.annotator.model.id, revision=run.annotator.model.revision)
        tables = outcome_tables(run, images, source)
        if step.replays:
            tables = _with_old_rows(tables, old_rows[step.name], [images.identity(i)[0] for i in range(len(images))])
        here = versions_here(libraries_of(run.annotator))
        every = (*made_with[step.name], *((here,) if here and here not in made_with[step.name] else ()))
        with spending.of(step.name):
            outputs.append(write_output(store, step.name, task.partition, step.fingerprint, tables, made_with=every))
    shares = spending.shares()
    return [
        (output, shares[output.step].model_copy(update=used))
        for number, (output, run) in enumerate(zip(outputs, runs, strict=True))
        for used in [
            {
                "models_loaded": int(loaded[output.step]),
                "images_read": images.num_read if number == 0 else 0,
                "images_annotated": output.done - taken_over[output.step],
                "seconds": run.seconds,
            }
        ]
    ]


def _known(
    store: Store, task: AnnotatePartition, step: AnnotateStep, upstream: Mapping[str, Mapping[str, pa.Table]]
) -> dict[str, Annotations]:
    """What the annotator gets to see of each image: the kinds it reads, cut to its work set."""
    if not step.reads - NOT_STORED:
        return {}
    tables = concat([source_tables(store, task.partition, gold=False), *upstream.values()])
    return annotations_by_image(cut_to_work_set(select_kinds(tables, step.reads), step.config.work_set))


def _blocked(
    step: AnnotateStep, upstream: Mapping[str, Mapping[str, pa.Table]], images: PartitionImages
) -> dict[int, Outcome]:
    """Images that lack a required annotation because its annotator did not get done with them."""
    blocked: dict[int, Outcome] = {}
    for name in step.required_upstream:
        not_done = pc.not_equal(upstream[name]["status"]["status"], "done").to_pylist()
        for index in range(len(images)):
            if not_done[index] and index not in blocked:
                blocked[index] = Outcome("not_run", reason=f"upstream:{name}")
    return blocked


def _taken_over(store: Store, output: OutputRecord) -> tuple[dict[int, Outcome], dict[str, pa.Table]]:
    """Images that were done in the output that is replayed, and the rows they had."""
    before = read_tables(store, output)
    done = pc.equal(before["status"]["status"], "done")
    ids = before["status"]["image_id"].filter(done)
    rows = {name: table.filter(pc.is_in(table["image_id"], ids)) for name, table in before.items()}
    return {i: Outcome("done") for i, is_done in enumerate(done.to_pylist()) if is_done}, rows


def _with_old_rows(
    tables: Mapping[str, pa.Table], old: Mapping[str, pa.Table], order: list[str]
) -> dict[str, pa.Table]:
    """New rows and the rows that were taken over, in partition order. Rows taken over win in `status`."""
    place = {image: i for i, image in enumerate(order)}
    merged = {}
    for name in sorted({*tables, *old}):
        new = tables.get(name)
        if name == "status" and new is not None:
            new = new.filter(pc.invert(pc.is_in(new["image_id"], old["status"]["image_id"])))
        table = pa.concat_tables([t for t in (old.get(name), new) if t is not None])
        places = np.array([place[i] for i in table["image_id"].to_pylist()], dtype=np.int64)
        merged[name] = table.take(pa.array(np.argsort(places, kind="stable")))
    return merged
