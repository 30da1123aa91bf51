"""The worker's side of a partition task: annotate, decide, cover."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.partition import PartitionImages, load_view, read_output, read_tables, source_tables
from fld_engine.engine.data.records import FileRecord, OutputRecord, PartitionOutputs
from fld_engine.engine.data.rows import annotations_by_image, concat
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.work_set import cut_to_work_set, select_kinds
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.engine.plan.registry import build_filter
from fld_engine.engine.plan.tasks import AnnotateStep, DecideStep, PartitionTask, ReportStep
from fld_engine.engine.run.messages import Committed
from fld_engine.engine.stages.annotate.annotate import Outcome, Report, Run, annotate_group, outcome_tables
from fld_engine.engine.stages.coverage import aggregates
from fld_engine.engine.stages.filter.decide import decide
from fld_engine.engine.stages.report.aggregate import report_tables
from fld_engine.schemas.annotations import Annotations, Source

Emit = Callable[[Committed], None]
Load = Callable[[AnnotateStep], tuple[Annotator, bool]]


def run_partition(task: PartitionTask, load: Load, report: Report, emit: Emit) -> None:
    """Do the missing steps of a partition. `load` gives an annotator that is ready, and whether it loaded now."""
    store = Store(task.root)
    live: dict[str, OutputRecord] = {}
    for group in task.groups:
        for committed in _annotate(store, task, group, load, report, live):
            live[committed.output.step] = committed.output
            emit(committed)
    if task.decide is not None:
        live["verdicts"] = _decide(store, task, task.decide, live)
        emit(Committed(output=live["verdicts"]))
    if task.cover is not None:
        emit(Committed(output=_cover(store, task, task.cover, live)))
    if task.report is not None:
        emit(Committed(output=_report_aggregate(store, task, task.report)))


def _annotate(
    store: Store,
    task: PartitionTask,
    group: tuple[AnnotateStep, ...],
    load: Load,
    report: Report,
    live: Mapping[str, OutputRecord],
) -> list[Committed]:
    images = PartitionImages(store, task.partition, task.images)
    runs, loaded, old_rows, taken_over = [], {}, {}, {}
    for step in group:
        annotator, loaded[step.name] = load(step)
        upstream = {
            name: read_tables(store, live.get(name) or read_output(store, name, task.partition.id, fingerprint))
            for name, fingerprint in step.upstream.items()
        }
        outcomes = _blocked(step, upstream, images)
        taken_over[step.name] = 0
        if step.replays:
            taken, old_rows[step.name] = _taken_over(store, task, step)
            outcomes |= taken
            taken_over[step.name] = len(taken)
        known = _known(store, task, step, upstream)
        runs.append(Run(name=step.name, annotator=annotator, known=known, outcomes=outcomes))
    annotate_group(runs, images, task.seed, task.isolation, report)
    committed = []
    for number, (step, run) in enumerate(zip(group, runs, strict=True)):
        source = Source(annotator=step.name, model=run.annotator.model.id, revision=run.annotator.model.revision)
        tables = outcome_tables(run, images, source)
        if step.replays:
            tables = _with_old_rows(tables, old_rows[step.name], [images.identity(i)[0] for i in range(len(images))])
        output = _write(store, task, step.name, step.fingerprint, tables)
        read = images.num_read if number == 0 else 0
        committed.append(
            Committed(
                output=output,
                models_loaded=int(loaded[step.name]),
                images_read=read,
                images_annotated=output.done - taken_over[step.name],
                seconds=run.seconds,
            )
        )
    return committed


def _known(
    store: Store, task: PartitionTask, step: AnnotateStep, upstream: Mapping[str, Mapping[str, pa.Table]]
) -> dict[str, Annotations]:
    """What the annotator gets to see of each image: the kinds it reads, cut to its work set."""
    if not step.reads - {"pixels"}:
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


def _taken_over(
    store: Store, task: PartitionTask, step: AnnotateStep
) -> tuple[dict[int, Outcome], dict[str, pa.Table]]:
    """Images that were done in the output that is replayed, and the rows they had."""
    before = read_tables(store, read_output(store, step.name, task.partition.id, step.replays))
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


def _decide(store: Store, task: PartitionTask, step: DecideStep, live: Mapping[str, OutputRecord]) -> OutputRecord:
    cover = PartitionOutputs(verdicts="", outputs=step.outputs, producers={}, fingerprint="")
    view = load_view(store, task.partition, cover, live=live)
    filters = [(name, build_filter(name, config)) for name, config in step.filters.items()]
    verdicts = decide(view.images, view.annotations, filters)
    return _write(store, task, "verdicts", step.fingerprint, verdicts)


def _cover(store: Store, task: PartitionTask, step: PartitionOutputs, live: Mapping[str, OutputRecord]) -> OutputRecord:
    view = load_view(store, task.partition, step, live=live)
    path = f"stages/coverage/{task.partition.id}-{step.fingerprint}.{uuid.uuid4().hex[:8]}.aggregate.json"
    file = store.write_bytes(path, aggregates.to_bytes(aggregates.aggregate(view)))
    return OutputRecord(
        step="coverage",
        partition=task.partition.id,
        fingerprint=step.fingerprint,
        files={"aggregate": file},
        done=len(view.images),
    )


def _report_aggregate(store: Store, task: PartitionTask, step: ReportStep) -> OutputRecord:
    view = load_view(store, task.partition, step.reads)
    tables = report_tables(view, frozenset(step.derived), step.keeps_low)
    return _write(store, task, "report", step.fingerprint, tables)


def _write(
    store: Store, task: PartitionTask, step: str, fingerprint: str, tables: Mapping[str, pa.Table]
) -> OutputRecord:
    """Write the tables of a step under names of this attempt."""
    attempt = uuid.uuid4().hex[:8]
    prefix = f"stages/{step}/{task.partition.id}-{fingerprint}.{attempt}"
    files: dict[str, FileRecord] = {
        name: store.write_table(f"{prefix}.{name}.parquet", table) for name, table in tables.items()
    }
    counts = {"done": task.partition.num_images}
    if "status" in tables:
        states = tables["status"]["status"].to_pylist()
        counts = {state: states.count(state) for state in ("done", "failed", "not_run")}
    return OutputRecord(step=step, partition=task.partition.id, fingerprint=fingerprint, files=files, **counts)
