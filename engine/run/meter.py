"""Counts at the driver what workers report, so that both runners count alike: metrics, and what work cost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, get_args

from fld_engine.engine.data.costs import Cost, Costs
from fld_engine.engine.data.journal import IngestTotals
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import Spent, Task
from fld_engine.engine.run import metrics
from fld_engine.engine.run.messages import Committed, Done, Event, Progress
from fld_engine.engine.run.metrics import Metric, Sink
from fld_engine.schemas.annotations import Status
from fld_engine.schemas.masking import masked

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often the state of the lanes is told; Prometheus asks every 15 s and more."""


class LaneState(Protocol):
    """A lane as the supervisor has it."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def left(self) -> int: ...


class WorkerState(Protocol):
    """A worker as the supervisor has it; `stages` is None until it is up, `job` None while it has nothing to do."""

    @property
    def queue(self) -> object: ...
    @property
    def stages(self) -> object | None: ...
    @property
    def job(self) -> object | None: ...


@dataclass(slots=True)
class _Attempt:
    """A task in the hands of a worker: since when, how far that was told, and what of it specialists account for."""

    lane: str
    resources: Resources
    begun: float
    told: float
    accounted: Cost = field(default_factory=Cost)


class Meter:
    """Tells `sinks` of one root's run, and adds up what it costs. A sink that fails is left out from then on.

    Nothing here may end a run, or wait for anybody.
    """

    def __init__(self, root: str = "") -> None:
        self._root = masked(root)
        self._sinks: list[Sink] = []
        self._attempts: dict[tuple[str, str], _Attempt] = {}  # by stage and label
        self._lanes: set[str] = set()
        self._looked_at = -LOOK_S
        self._specialists: dict[str, Cost] = {}
        self._stages: dict[str, Cost] = {}

    @property
    def costs(self) -> Costs:
        """What ended attempts cost until now."""
        return Costs(specialists=dict(self._specialists), stages=dict(self._stages))

    @property
    def is_watched(self) -> bool:
        return bool(self._sinks)

    def tell(self, sink: Sink, specialists: Iterable[str] = ()) -> None:
        """Tell one more sink from now on. Counters of `specialists` begin there at 0, so that a first step is seen."""
        self._sinks.append(sink)
        for name in specialists:
            for status in get_args(Status):
                self._add(metrics.IMAGES, 0, name, status)

    def close(self) -> None:
        for sink in self._sinks:
            _safely(sink.close)
        self._sinks = []

    # ------------------------------------------------------------------ what the supervisor tells

    def given(self, lane: str, resources: Resources, task: Task) -> None:
        """A worker was given a task."""
        now = time.monotonic()
        self._attempts[task.stage, task.label] = _Attempt(lane, resources, now, now)

    def heard(self, task: Task, event: Event) -> None:
        """A worker said something of its task."""
        if isinstance(event, Progress):
            self._add(metrics.UNITS, event.finished, event.span.step)
            for seconds in event.batch_s:
                self._add(metrics.BATCH_SECONDS, seconds, event.span.step)
        elif isinstance(event, Committed):
            self._commit(task, event)
        elif isinstance(event, Done):
            self._add(metrics.TASKS, 1, task.stage)
            self.over(task, spent=event.spent)

    def over(self, task: Task, *, lost: str = "", spent: Spent = Spent()) -> None:  # noqa: B008 - frozen
        """A worker has a task no more: it is done, or `lost` for a cause. What is known of it was `spent`."""
        if (attempt := self._attempts.pop((task.stage, task.label), None)) is None:
            return
        if lost:
            self._add(metrics.ATTEMPTS_LOST, 1, attempt.lane, lost)
        now = time.monotonic()
        self._hold(attempt, now)
        known = attempt.accounted
        of_stage = _cost(spent, attempt.resources, held_s=now - attempt.begun)
        for metric, value in (
            (metrics.READ_BYTES, of_stage.read_bytes),
            (metrics.WRITTEN_BYTES, of_stage.written_bytes),
            (metrics.STORE_REQUESTS, of_stage.requests),
        ):
            self._add(metric, value, task.stage)
        rest = {name: max(0, getattr(of_stage, name) - getattr(known, name)) for name in Cost.model_fields}
        self._stages[task.stage] = self._stages.get(task.stage, Cost()) + Cost(**rest)

    def held(self, what: str, resources: Resources, held_s: float) -> None:
        """Workers of no lane, such as those of a training, were held for so long; `resources` are those of them all."""
        self._add(metrics.CPU_SECONDS, held_s * resources.cpus, what)
        self._add(metrics.GPU_SECONDS, held_s * resources.gpus, what)
        self._stages[what] = self._stages.get(what, Cost()) + _cost(Spent(), resources, held_s=held_s)

    def look(self, lanes: Sequence[LaneState], workers: Sequence[WorkerState]) -> None:
        """Tell of lanes and workers, if it is time; of lanes that begin, or are no more, at once."""
        now, names = time.monotonic(), {lane.name for lane in lanes}
        if not self._sinks or (names == self._lanes and now - self._looked_at < LOOK_S):
            return
        self._looked_at = now
        for attempt in self._attempts.values():
            self._hold(attempt, now)
        for name in self._lanes - names:
            self._gauges(name, 0, 0, 0, 0, 0)
        self._lanes = names
        for lane in lanes:
            mine = [worker for worker in workers if worker.queue is lane]
            num_up = sum(worker.stages is not None for worker in mine)
            num_busy = sum(worker.stages is not None and worker.job is not None for worker in mine)
            self._gauges(lane.name, lane.left, lane.size, len(mine) - num_up, num_up, num_busy)

    # ------------------------------------------------------------------ what the pipeline tells

    def refused(self, totals: IngestTotals) -> None:
        """What the root holds that was refused."""
        for metric, counts in (
            (metrics.QUARANTINED, totals.quarantined),
            (metrics.REFUSED_ANNOTATIONS, totals.rejected_annotations),
        ):
            for reason, number in counts.items():
                self._add(metric, number, reason)

    # ------------------------------------------------------------------ the rest

    def _commit(self, task: Task, event: Committed) -> None:
        output, spent = event.output, event.spent
        if "status" not in output.files:  # no specialist's
            return
        done_before = output.done - spent.images_annotated  # taken over from an earlier run
        for status in get_args(Status):
            number = getattr(output, status, 0)
            self._add(metrics.IMAGES, number - done_before if status == "done" else number, output.step, status)
        self._add(metrics.SPECIALIST_SECONDS, spent.held_s, output.step)
        self._add(metrics.MODELS_LOADED, spent.models_loaded, output.step)
        self._add(metrics.QUESTIONS, spent.questions, output.step)
        if attempt := self._attempts.get((task.stage, task.label)):
            cost = _cost(spent, attempt.resources, held_s=spent.held_s)
            attempt.accounted += cost
            answered = sum(getattr(output, status, 0) for status in get_args(Status))
            cost = cost.model_copy(update={"images": answered})
            self._specialists[output.step] = self._specialists.get(output.step, Cost()) + cost

    def _hold(self, attempt: _Attempt, now: float) -> None:
        """Count the seconds that a worker was held since that was told last."""
        held_s, attempt.told = now - attempt.told, now
        self._add(metrics.CPU_SECONDS, held_s * attempt.resources.cpus, attempt.lane)
        self._add(metrics.GPU_SECONDS, held_s * attempt.resources.gpus, attempt.lane)

    def _gauges(self, lane: str, queued: int, wanted: int, waiting: int, alive: int, busy: int) -> None:
        for metric, number in (
            (metrics.QUEUE, queued),
            (metrics.WORKERS_WANTED, wanted),
            (metrics.WORKERS_WAITING, waiting),
            (metrics.WORKERS_ALIVE, alive),
            (metrics.WORKERS_BUSY, busy),
        ):
            self._add(metric, number, lane)

    def _add(self, metric: Metric, value: float, *labels: str) -> None:
        named = {metrics.ROOT: self._root, **dict(zip(metric.labels, labels, strict=True))}
        for sink in tuple(self._sinks):
            if not _safely(lambda sink=sink: sink.add(metric, named, value)):  # type: ignore[misc]
                self._sinks.remove(sink)


def _safely(do: Callable[[], None]) -> bool:
    try:
        do()
    except Exception as error:  # noqa: BLE001 - a run goes on without whoever watches it
        log.warning("metrics are not counted any more: %s: %s", type(error).__name__, error)
        return False
    return True


def _cost(spent: Spent, resources: Resources, *, held_s: float) -> Cost:
    return Cost(
        cpu_s=held_s * resources.cpus,
        gpu_s=held_s * resources.gpus,
        questions=spent.questions,
        requests=spent.requests,
        read_bytes=spent.read_bytes,
        written_bytes=spent.written_bytes,
    )
