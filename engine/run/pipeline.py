"""The driver: runs stages on a runner, and makes outputs count by recording them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType

from fld_engine.engine.data.journal import IngestRecord, read_journal, totals
from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.data.libraries import Versions, note_seen
from fld_engine.engine.data.records import OutputRecord, record_path
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, RunnerConfig
from fld_engine.engine.plan.holdings import declare
from fld_engine.engine.plan.libraries import check_libraries
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import installed_stages, pin, stage_named, stages_of_run
from fld_engine.engine.plan.rounds import plan_of
from fld_engine.engine.plan.stages import Answer, Opens, Result, Stage, StepStage
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.run.backend import Backend
from fld_engine.engine.run.crew import Crew
from fld_engine.engine.run.exporter import exporter_of
from fld_engine.engine.run.interrupt import interrupts
from fld_engine.engine.run.local import LocalBackend
from fld_engine.engine.run.messages import Committed, Done, Progress, Undone
from fld_engine.engine.run.meter import Meter
from fld_engine.engine.run.metrics import Counting
from fld_engine.engine.run.pool import fits
from fld_engine.engine.run.rates import note_rates
from fld_engine.engine.run.supervisor import Supervisor
from fld_engine.schemas.errors import AccountingError, FldError

log = logging.getLogger(__name__)

Watch = Callable[[str, int, int], None]
"""Told of progress: (step, units finished now, units in all). A step begins with 0 finished; 0 in all is not known.

Fewer than 0 finished are units that come again, for the attempt at them came to nothing.
"""


@dataclass(slots=True)
class Work:
    """What a run really did; a run with nothing to do leaves all at zero."""

    models_loaded: int = 0
    images_read: int = 0
    tasks_done: int = 0
    outputs_written: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    """Step → units that it failed on."""
    annotated: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Annotator → (images, seconds spent on them in the annotator, over all workers)."""

    def rates(self) -> dict[str, float]:
        """Images per second of one worker, by annotator."""
        return {name: images / seconds for name, (images, seconds) in self.annotated.items() if images and seconds}

    def add(self, committed: Committed) -> None:
        spent = committed.spent
        self.models_loaded += spent.models_loaded
        self.images_read += spent.images_read
        images, seconds = self.annotated.get(committed.output.step, (0, 0.0))
        self.annotated[committed.output.step] = (images + spent.images_annotated, seconds + spent.seconds)


def make_backend(config: RunnerConfig) -> Backend:
    """The runner that the config asks for. Ray is imported only when it is used."""
    if config.kind == "local":
        return LocalBackend(config.workers)
    from fld_engine.engine.run.ray import RayBackend

    return RayBackend(config.ray_address, config.workers)


class Pipeline:
    """The `Driver` of one root under one config; a context manager that holds the root's lease.

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
        self.config, self.watch, self._round = config, watch, round_
        self.work = Work()
        self.meter = Meter(store.base if store.local else store.url)
        self._backend: Backend | None = None
        self._supervisor: Supervisor | None = None
        self._lease, self._interrupts = LeaseHolder(store), interrupts()
        self.store = store.guarded(self._lease)
        self._declared: set[str] = set()  # stages whose holdings this driver has noted
        self._noted: list[tuple[str, Versions]] = []  # libraries of steps, likewise

    def __enter__(self) -> Pipeline:
        self._lease.__enter__()
        try:
            if exporter := exporter_of(self.config.runner):
                self.meter.tell(exporter, self.config.annotators)
            for stage in installed_stages():
                if isinstance(stage, Opens):
                    stage.open(self)
        except BaseException as error:
            self.meter.close()
            self._lease.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._interrupts.held():
            try:
                self.release_workers()
                with suppress(FldError, OSError):  # nobody's work depends on it
                    note_rates(self.store, self.config, self.work.annotated)
            finally:
                self.meter.close()
                self._lease.__exit__(kind, error, tb)
                self.store = self.store.guarded(None)  # for whoever looks at what was made

    def crew(self) -> Crew:
        """The workers as they are now; asked from any thread."""
        return self._supervisor.crew() if self._supervisor is not None else Crew()

    def release_workers(self) -> None:
        """End the workers, so that others can have their processors; a stage that needs some starts them anew."""
        if self._supervisor is not None:
            self._supervisor.close()

    # ------------------------------------------------------------------ what stages ask for

    def journal(self) -> list[IngestRecord]:
        """Records of the finished ingests, in order."""
        return read_journal(self.store)

    def plan(self) -> Plan:
        """What is missing now."""
        return plan_of(self.store, self.config, self._round)

    def preflight(self) -> None:
        """Before any work, pin what the config left open, look at the libraries, and see whether the workers fit.

        Raises `ModelError` for a checkpoint that cannot be pinned, `ConfigError` for libraries that the config refuses,
        `RunnerError` for a worker that fits nowhere, where no node may join.
        """
        self.config = pin(self.config, strict=True)
        plan = self.plan()
        check_libraries(plan, stages_of_run(self.config))
        if requests := plan.requests:
            fits(self._workers_of(), requests)

    def run(self, stage: Stage[Result]) -> Result:
        """Do what a stage finds missing."""
        with self._interrupts.at(f"in {stage.name}"):
            result = stage.run(self)
        if self.meter.is_watched:
            self.meter.refused(totals(self.journal()))
        return result

    def record(self, lanes: Sequence[Lane]) -> int:
        """Run tasks that commit outputs, and record every output as it is committed; returns their number."""
        written = 0
        for task, event in self._run(lanes):
            if isinstance(event, Committed):
                check_accounts(event.output, task.units[event.output.step])
                self._note(event.output)
                path = record_path(event.output.step, event.output.partition, event.output.fingerprint)
                self.store.write_model(path, event.output)
                self.work.add(event)
                written += 1
        self.work.outputs_written += written
        return written

    def complete(self, plan: Plan, stage: StepStage) -> int:
        """Make the outputs of a stage that a plan of the caller's lacks; returns their number.

        Raises `ConfigError` for libraries that the config refuses.
        """
        check_libraries(plan, [stage])
        return self.record(plan.lanes(stage))

    def answers(self, lane: Lane, kind: type[Answer]) -> Iterator[tuple[Task, Answer]]:
        """Run tasks that answer with a `kind` each, in the order in which they get done."""
        for task, event in self._run([lane]):
            if isinstance(event, Done):
                yield task, kind.model_validate_json(event.result)

    # ------------------------------------------------------------------ running lanes

    def _run(self, lanes: Sequence[Lane]) -> Iterator[tuple[Task, Committed | Done]]:
        tasks = [task for lane in lanes for task in lane.tasks]
        if not tasks:
            return
        for name in sorted({task.stage for task in tasks} - self._declared):
            declare(self.store, stage_named(name))
            self._declared.add(name)
        if self._supervisor is None:
            self._supervisor = Supervisor(self._workers_of(), self.config.limits, self._check, self.meter)
        totals: Counter[str] = Counter()
        for task in tasks:
            totals.update(task.units)
        for step, total in totals.items():
            self.watch(step, 0, total)
        self._interrupts.begin(totals.total())
        with self._interrupts.held():  # what is done is recorded before anything ends
            for task, event in self._supervisor.run(lanes):
                if isinstance(event, Progress):
                    self.work.failed[event.span.step] += len(event.failed)
                    self._advance(event.span.step, event.finished)
                    continue
                if isinstance(event, Undone):
                    self.work.failed[event.step] -= event.failed
                    self._advance(event.step, -event.finished)
                    continue
                if isinstance(event, Done):
                    self.work.tasks_done += 1
                yield task, event

    def _advance(self, step: str, finished: int) -> None:
        if finished:
            self.watch(step, finished, 0)
            self._interrupts.advance(finished)

    def _check(self) -> None:
        """Whether more work may be given out."""
        self._interrupts.check()
        self._lease.check()

    def _note(self, output: OutputRecord) -> None:
        """Note in the root which libraries were at work, where this driver has not done so."""
        new = [versions for versions in output.made_with if (output.step, versions) not in self._noted]
        note_seen(self.store, output.step, new)
        self._noted += [(output.step, versions) for versions in new]

    def _workers_of(self) -> Backend:
        """The runner, made when it is first needed: a run without work starts no cluster."""
        if self._backend is None:
            self._backend = make_backend(self.config.runner)
            if isinstance(self._backend, Counting) and (sink := self._backend.sink()):
                self.meter.tell(sink, self.config.annotators)
        return self._backend


def check_accounts(output: OutputRecord, num_images: int) -> None:
    """Every image of a partition must be answered for. Raises `AccountingError`."""
    answered = output.done + output.failed + output.not_run
    if answered != num_images:
        raise AccountingError(
            f"{output.step} answered for {answered} of the {num_images} images of {output.partition} "
            f"(done {output.done}, failed {output.failed}, not run {output.not_run}); its output is not recorded"
        )
