"""Stage `annotate`: every annotator of the config over every partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.records import OutputRecord, PartitionRecord, record_path
from fld_engine.engine.data.status import StepStatus
from fld_engine.engine.data.work_set import MORE_NAMES, WORK_SET_VERSION
from fld_engine.engine.plan.graph import Group, lanes_of, together
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.libraries import Made
from fld_engine.engine.plan.plan import REMADE, Found, Plan, reads, written_params
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.stages.annotate.partition import AnnotatePartition, AnnotateStep, annotate_partition
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RootError
from fld_engine.schemas.kinds import NOT_STORED


class AnnotateStatus(Frozen):
    annotated: Mapping[str, StepStatus]


class Annotate:
    """A step an annotator. Annotators of one lane are done by one task a partition."""

    name: ClassVar[str] = "annotate"
    after: ClassVar[tuple[str, ...]] = ("ingest",)
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 50
    holdings: ClassVar[tuple[Holding, ...]] = (
        Holding(glob="stages/*", how="rewrite"),
        Holding(glob="answers/*", how="by_image"),
    )

    def steps(self, plan: Plan) -> Sequence[str]:
        return plan.graph.order

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        annotator, config = plan.annotators[step], plan.config.annotators[step]
        parts: dict[str, Any] = {
            "annotator": step,
            "use": config.use or step,
            "version": annotator.version,
            "params": written_params(annotator, config),
            "model": identity_of(annotator.model),
            "batch_size": annotator.batch_size,
            "seed": plan.config.seed,
            "images": identity_of(partition.limits or plan.config.images),
            "partition": partition.fingerprint,
        }
        if reads(annotator) - NOT_STORED:
            parts["work_set"] = identity_of(config.work_set)
            if any(plan.annotators[name].produces & MORE_NAMES for name in plan.graph.upstream[step]):
                parts["work_set_version"] = WORK_SET_VERSION
            parts["source"] = partition.labels_fingerprint or partition.annotations_fingerprint
            parts["upstream"] = {name: found[name, partition.id] for name in plan.graph.upstream[step]}
        return parts

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        return [
            Lane(
                name="+".join(name for group in groups for name in group.names),
                resources=together(groups),
                tasks=_tasks(plan, groups, missing),
            )
            for groups in lanes_of(plan.graph.groups, plan.config.runner.lane_memory_mb)
        ]

    def is_current(self, plan: Plan) -> bool:
        return not any(plan.missing(step) for step in self.steps(plan))

    def run(self, driver: Driver) -> int:
        """Run all annotators where their output is missing; returns the number of outputs written."""
        return driver.record(driver.plan().lanes(self))

    def numbers(self, result: int) -> Mapping[str, int]:
        return {"outputs": result}

    def work(self, task: Task, worker: Worker) -> None:
        assert isinstance(task.payload, AnnotatePartition), "a task of another stage"
        annotate_partition(task.payload, worker)

    def made(self, plan: Plan, steps: Collection[str]) -> Iterator[Made]:
        for step in (name for name in plan.graph.order if name in steps):
            missing = {record.id for record in plan.missing(step)}
            for record in (one for one in plan.partitions if one.id not in missing):
                identity = plan.fingerprints[step, record.id]
                output: OutputRecord = plan.store.read_model(record_path(step, record.id, identity), OutputRecord)
                yield Made(step, f"{record.id}-{identity}", output.made_with)

    def make_again(self, plan: Plan, outputs: Collection[Made]) -> None:
        for made in outputs:
            mark = f"stages/{made.step}/{made.output}{REMADE}{fingerprint({'remakes': made.output})}"
            plan.store.write_bytes(mark, b"")

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> AnnotateStatus:
        return AnnotateStatus(annotated={name: _status(plan, name) for name in plan.graph.order})


def require_annotated(plan: Plan) -> None:
    """Raises `RootError` where an annotator has not run on every partition, or nothing is ingested."""
    missing = [name for name in plan.graph.order if plan.missing(name)]
    if missing or not plan.partitions:
        what = f"output of {', '.join(missing)} is missing" if missing else "no image is ingested"
        raise RootError(f"{plan.store.url}: {what} under this config; run `fld run` first")


def _tasks(plan: Plan, groups: Sequence[Group], missing: Mapping[str, Collection[str]]) -> list[Task]:
    tasks = []
    for record in plan.partitions:
        steps = (tuple(_step(plan, n, record) for n in group.names if record.id in missing[n]) for group in groups)
        if todo := tuple(group for group in steps if group):
            payload = AnnotatePartition(seed=plan.config.seed, partition=record, images=plan.config.images, groups=todo)
            units = {step.name: record.num_images for group in todo for step in group}
            tasks.append(Task(stage=Annotate.name, root=plan.store.url, label=record.id, units=units, payload=payload))
    return tasks


def _step(plan: Plan, name: str, record: PartitionRecord) -> AnnotateStep:
    annotator = plan.annotators[name]
    upstream = plan.graph.upstream[name]
    identity = plan.fingerprints[name, record.id]
    replaced = {f"{record.id}-{new}": old.rsplit("-", 1)[-1] for old, new in plan.replays(name).items()}
    return AnnotateStep(
        name=name,
        config=plan.config.annotators[name],
        reads=reads(annotator),
        upstream={n: plan.fingerprints[n, record.id] for n in upstream},
        required_upstream=tuple(n for n in upstream if plan.annotators[n].produces & annotator.requires),
        fingerprint=identity,
        replays=replaced.get(f"{record.id}-{identity}", ""),
    )


def _status(plan: Plan, name: str) -> StepStatus:
    missing = {record.id for record in plan.missing(name)}
    counts: Counter[str] = Counter()
    for record in plan.partitions:
        if record.id in missing:
            counts["missing"] += record.num_images
            continue
        output: OutputRecord = plan.store.read_model(
            record_path(name, record.id, plan.fingerprints[name, record.id]), OutputRecord
        )
        counts.update({"done": output.done, "failed": output.failed, "not_run": output.not_run})
    return StepStatus(**{field: counts[field] for field in StepStatus.model_fields})
