"""The driver: runs the stages of the road on a runner, and makes outputs count by recording them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from fld_engine.engine.data.journal import IngestRecord, read_journal
from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.data.records import OutputRecord, record_path
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, RunnerConfig
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import pin
from fld_engine.engine.plan.rounds import plan_of
from fld_engine.engine.plan.tasks import ExportTask, Lane, PackTask, PartitionTask, ScanTask, Task
from fld_engine.engine.run.local import LocalBackend
from fld_engine.engine.run.messages import Committed, Done, Progress
from fld_engine.engine.run.supervisor import Backend, Supervisor
from fld_engine.engine.stages.coverage import aggregates
from fld_engine.engine.stages.coverage.report import write_coverage
from fld_engine.engine.stages.export.stage import ExportSummary, export_root
from fld_engine.engine.stages.ingest.ingest import ingest, new_chunks
from fld_engine.engine.stages.removal import request as removal
from fld_engine.engine.stages.report.stage import Merged, gallery_root, merge_root
from fld_engine.schemas.errors import AccountingError, RootError

log = logging.getLogger(__name__)

Watch = Callable[[str, int, int], None]
"""Told of progress: (step, units finished now, units in all). A step begins with 0 finished; 0 in all is not known."""


@dataclass(slots=True)
class Work:
    """What a run really did; a run with nothing to do leaves all at zero."""

    models_loaded: int = 0
    images_read: int = 0
    tasks_done: int = 0
    outputs_written: int = 0
    annotated: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Annotator → (images, seconds spent on them in the annotator, over all workers)."""

    def rates(self) -> dict[str, float]:
        """Images per second of one worker, by annotator."""
        return {name: images / seconds for name, (images, seconds) in self.annotated.items() if images and seconds}

    def add(self, committed: Committed) -> None:
        self.models_loaded += committed.models_loaded
        self.images_read += committed.images_read
        images, seconds = self.annotated.get(committed.output.step, (0, 0.0))
        self.annotated[committed.output.step] = (images + committed.images_annotated, seconds + committed.seconds)


@dataclass(frozen=True, slots=True)
class RootReport:
    """What pages and tables of a report are made from."""

    plan: Plan
    merged: Merged
    coverage: aggregates.Aggregate
    gallery: list[dict[str, Any]]


def make_backend(config: RunnerConfig) -> Backend:
    """The runner that the config asks for. Ray is imported only when it is used."""
    if config.kind == "local":
        return LocalBackend(config.workers)
    from fld_engine.engine.run.ray import RayBackend

    return RayBackend(config.ray_address, config.workers)


class Pipeline:
    """Stages of one root under one config, in the order of the road; a context manager that holds the root's lease.

    With `round_`, the root as it stands after that round of refinement.

    Each stage does only what is missing. Raises the errors of `schemas.errors`; a stage that loses or invents images
    raises `AccountingError`.
    """

    def __init__(
        self,
        store: Store,
        config: RunConfig,
        watch: Watch = lambda step, now, total: None,
        *,
        round_: int | None = None,
    ) -> None:
        self.store, self.config, self.watch, self._round = store, config, watch, round_
        self.work = Work()
        self._backend: Backend | None = None
        self._supervisor: Supervisor | None = None
        self._lease = LeaseHolder(store)

    def __enter__(self) -> Pipeline:
        self._lease.__enter__()
        try:
            self._resume_removal()
        except BaseException as error:
            self._lease.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.release_workers()
        finally:
            self._lease.__exit__(kind, error, tb)

    def release_workers(self) -> None:
        """End the workers, so that others can have their processors; a stage that needs some starts them anew."""
        if self._supervisor is not None:
            self._supervisor.close()

    # ------------------------------------------------------------------ stages

    def plan(self) -> Plan:
        """What is missing now."""
        return plan_of(self.store, self.config, self._round)

    def preflight(self) -> None:
        """Before any work is done, pin what the config left open, and see whether the workers fit.

        Raises `ModelError` for a checkpoint that cannot be pinned, `RunnerError` for a worker that fits nowhere.
        """
        self.config = pin(self.config, strict=True)
        if requests := self.plan().requests:
            self._workers_of().fit(requests)

    def ingest(self) -> IngestRecord | None:
        """Ingest what is new in the sources."""
        return ingest(self.store, self.config, read_journal(self.store), self._results)

    def annotate(self, plan: Plan | None = None) -> int:
        """Run all annotators where their output is missing, of another plan of this root if one is given.

        Returns the number of outputs written.
        """
        return self._record((plan or self.plan()).annotate_lanes())

    def decide(self, plan: Plan | None = None) -> int:
        """Run the filters where verdicts are missing, of another plan of this root if one is given."""
        return self._record([(plan or self.plan()).decide_lane()])

    def cover(self) -> aggregates.Aggregate:
        """Aggregate the coverage of each partition, and merge them."""
        self._record([self.plan().cover_lane()])
        return read_coverage(self.plan())

    def require_annotated(self) -> None:
        """Raises `RootError` where an annotator has not run on every partition, or nothing is ingested."""
        plan = self.plan()
        missing = [name for name in plan.graph.order if plan.missing(name)]
        if missing or not plan.partitions:
            what = f"output of {', '.join(missing)} is missing" if missing else "no image is ingested"
            raise RootError(f"{self.store.url}: {what} under this config; run `fld run` first")

    def report(self, wanted: Sequence[str] = (), num_images: int = 0) -> RootReport:
        """Aggregate each partition for a report, merge, and draw `num_images` images of a gallery."""
        self._record([self.plan().report_lane()])
        plan = self.plan()
        merged = merge_root(plan, wanted, self._results)
        gallery = gallery_root(plan, merged, num_images, self._results) if num_images else []
        return RootReport(plan=plan, merged=merged, coverage=read_coverage(plan), gallery=gallery)

    def run_tasks(self, lane: Lane) -> Iterator[tuple[Task, str]]:
        """Run tasks that answer with a result."""
        return self._results(lane)

    def export(self) -> ExportSummary:
        """Write the groups of shards that are missing, and the manifest."""
        summary = export_root(self.plan(), read_journal(self.store), self._results)
        removal.finish(self.store)
        return summary

    def remove(self, ids: Iterable[str]) -> removal.RemovalReport:
        """Take images out of everything the root holds, and write the export without them; no model is loaded.

        Raises `ConfigError` for ids that the root does not have; nothing is done then.
        """
        asked = set(ids)
        pending = removal.begin(self.store, asked)
        if pending is None:
            return removal.report(self.store, asked, None, exported=False)
        self._resume_removal()
        plan = self.plan()
        exported = pending.had_export and not any(plan.missing(step) for step in plan.graph.order)
        if exported:
            self.decide()
            write_coverage(self.store, self.cover())
            self.export()
        elif not pending.had_export:
            removal.finish(self.store)
        return removal.report(self.store, asked, pending, exported=exported)

    def _resume_removal(self) -> None:
        """Go through with a removal that was begun, here or by a driver that was killed."""
        if removal.is_unfinished(self.store):
            self.watch("remove", 0, 0)
            removal.resume(self.store, lambda: self.watch("remove", 1, 0))

    # ------------------------------------------------------------------ running lanes

    def _run(self, lanes: Sequence[Lane]) -> Iterator[tuple[Task, Committed | Done]]:
        tasks = [task for lane in lanes for task in lane.tasks]
        if not tasks:
            return
        if self._supervisor is None:
            self._supervisor = Supervisor(self._workers_of(), self.config.limits)
        totals: Counter[str] = Counter()
        for task in tasks:
            totals.update(units(task))
        for step, total in totals.items():
            self.watch(step, 0, total)
        for task, event in self._supervisor.run(lanes):
            if isinstance(event, Progress):
                if event.finished:
                    self.watch(event.span.step, event.finished, 0)
                continue
            if isinstance(event, Done):
                self.work.tasks_done += 1
            yield task, event

    def _workers_of(self) -> Backend:
        """The runner, made when it is first needed: a run without work starts no cluster."""
        if self._backend is None:
            self._backend = make_backend(self.config.runner)
        return self._backend

    def _results(self, lane: Lane) -> Iterator[tuple[Task, str]]:
        """Run a lane of tasks that answer with a result."""
        for task, event in self._run([lane]):
            if isinstance(event, Done):
                yield task, event.result

    def _record(self, lanes: Sequence[Lane]) -> int:
        """Run lanes of partition tasks and record every output as it is committed."""
        written = 0
        for task, event in self._run(lanes):
            if isinstance(event, Committed):
                assert isinstance(task, PartitionTask), "only partition tasks commit outputs"
                check_accounts(event.output, task.partition.num_images)
                path = record_path(event.output.step, event.output.partition, event.output.fingerprint)
                self.store.write_model(path, event.output)
                self.work.add(event)
                written += 1
        self.work.outputs_written += written
        return written


def units(task: Task) -> dict[str, int]:
    """Units of progress that a task reports, by step; 0 where their number is not known beforehand."""
    match task:
        case PartitionTask():
            return {step.name: task.partition.num_images for group in task.groups for step in group}
        case ScanTask():
            return {"scan": 0}
        case PackTask():
            return {"pack": sum(len(rows) for _, rows in task.rows)}
        case ExportTask():
            return {"export": sum(record.num_images for record in task.partitions)}
    return {}


def check_accounts(output: OutputRecord, num_images: int) -> None:
    """Every image of a partition must be answered for. Raises `AccountingError`."""
    answered = output.done + output.failed + output.not_run
    if answered != num_images:
        raise AccountingError(
            f"{output.step} answered for {answered} of the {num_images} images of {output.partition} "
            f"(done {output.done}, failed {output.failed}, not run {output.not_run}); its output is not recorded"
        )


def read_coverage(plan: Plan) -> aggregates.Aggregate:
    """Merge the aggregates of all partitions."""

    def of_partitions() -> Iterator[aggregates.Aggregate]:
        for record in plan.partitions:
            path = record_path("coverage", record.id, plan.fingerprints["coverage", record.id])
            output = plan.store.read_model(path, OutputRecord)
            yield aggregates.from_bytes(plan.store.read_bytes(output.files["aggregate"].path))

    return aggregates.merge(of_partitions())


def has_new_images(store: Store, config: RunConfig) -> bool:
    """Whether the sources hold chunks that no ingest has covered."""
    return bool(new_chunks(config, read_journal(store)))
