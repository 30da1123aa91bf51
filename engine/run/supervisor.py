"""The loop that both runners share: hands out tasks, watches workers, replaces the lost, isolates poison."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fld_engine.engine.plan.fit import holds
from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.registry import package_of_stage
from fld_engine.engine.plan.tasks import Lane, Span, Task
from fld_engine.engine.run.backend import Backend, WorkerHandle
from fld_engine.engine.run.crew import Crew, crew_of
from fld_engine.engine.run.failures import FailureWatch
from fld_engine.engine.run.jobs import WHAT, Job, Scene
from fld_engine.engine.run.messages import (
    Broken,
    Cause,
    Committed,
    Done,
    Event,
    Failed,
    Loading,
    Lost,
    Progress,
    Ready,
    Said,
    Undone,
)
from fld_engine.engine.run.meter import Meter
from fld_engine.engine.run.said import retell
from fld_engine.schemas.errors import FldError, ModelError, RunnerError, TransportError

log = logging.getLogger(__name__)

POLL_S = 0.2
_ERRORS: dict[str, type[FldError]] = {kind.__name__: kind for kind in (ModelError, TransportError)}
"""Errors of workers that stay what they are; any other one is the runner's."""


@dataclass(slots=True, eq=False)
class _Queue:
    """A lane at work. A job waits while a lane before has one of the same label to finish: it may read its output."""

    name: str
    resources: Resources
    size: int  # workers
    jobs: deque[Job]
    unfinished: set[str]  # labels
    before: Sequence[_Queue]

    def take(self) -> Job | None:
        """The first job that may begin."""
        for index, job in enumerate(self.jobs):
            if not any(job.task.label in queue.unfinished for queue in self.before):
                del self.jobs[index]
                return job
        return None


@dataclass(slots=True, eq=False)
class _Busy:
    """A worker with the state the watch needs. `begun` is what it said it was about to do, and has not ended."""

    handle: WorkerHandle
    resources: Resources
    queue: _Queue
    last_event: float
    job: Job | None = None
    begun: Span | None = None
    loading: str = "its process"  # what, until it reports work
    at: str = ""  # where it has reported work in this job; empty before that
    used: bool = False
    stages: frozenset[str] | None = None  # installed where it runs; None until it is up

    def scene(self) -> Scene:
        before = f"while loading {self.loading}" if self.loading else "before it reported any work"
        return Scene(
            doing=f"at {self.at}" if self.at else before, working=bool(self.at), wanted_mb=self.resources.memory_mb
        )


class Supervisor:
    """Runs lanes of tasks on a backend's workers, which stay up between calls until `close`.

    `check` is called before work is given out, and raises where there must be no more. `meter` is told of everything.
    """

    def __init__(
        self, backend: Backend, limits: Limits, check: Callable[[], None] = lambda: None, meter: Meter | None = None
    ) -> None:
        self._backend, self._limits, self._check, self._meter = backend, limits, check, meter or Meter()
        self._workers: list[_Busy] = []
        self._failures = FailureWatch(limits.max_failed_share)
        self._undone: list[tuple[Task, Undone]] = []

    def crew(self) -> Crew:
        """The workers as they are now; asked from any thread."""
        return crew_of((w.stages is not None, w.loading if w.job is not None else "") for w in list(self._workers))

    def run(self, lanes: Sequence[Lane]) -> Iterator[tuple[Task, Committed | Progress | Done | Undone]]:
        """Do every task of the lanes, yielding what workers report; each task ends with its `Done`.

        Lanes stand in the order of the graph. Those that fit side by side run together, the others after them; tasks
        of one label (a partition) run in the order of the lanes. Raises `RunnerError` when a task cannot be done, when
        no worker comes up, or when a step fails on more than the limits allow.
        """
        self._failures = FailureWatch(self._limits.max_failed_share)
        self._undone.clear()
        waiting = [lane for lane in lanes if lane.tasks]
        while waiting:
            sizes = [size for size in self._backend.fit([lane.resources for lane in waiting]) if size]
            yield from self._run_together(waiting[: len(sizes)], sizes)
            waiting = waiting[len(sizes) :]

    def _run_together(
        self, lanes: Sequence[Lane], sizes: Sequence[int]
    ) -> Iterator[tuple[Task, Committed | Progress | Done | Undone]]:
        queues: list[_Queue] = []
        for lane, size in zip(lanes, sizes, strict=True):
            jobs = deque(Job(task) for task in lane.tasks)
            labels = {task.label for task in lane.tasks}
            queues.append(_Queue(lane.name, lane.resources, min(size, len(jobs)), jobs, labels, before=tuple(queues)))
        self._move_workers(queues)
        while any(queue.unfinished for queue in queues):
            self._check()
            for queue in queues:
                self._assign(queue)
            self._meter.look(queues, self._workers)
            events = self._backend.poll([w.handle for w in self._workers], POLL_S) + self._overdue()
            events.sort(key=lambda found: isinstance(found[1], Lost))  # what was done first: a loss may end the run
            for handle, event in events:
                if isinstance(event, Said):  # no sign of life: one that waits for something may say so for ever
                    retell(event)
                    continue
                worker = next((w for w in self._workers if w.handle is handle), None)
                if worker is None:
                    continue
                job = worker.job
                worker.last_event = time.monotonic()
                if isinstance(event, Lost):
                    self._lose(worker, event)
                elif isinstance(event, Broken):
                    self._break(worker, event)
                elif isinstance(event, Failed):
                    self._fail(worker, event)
                elif isinstance(event, Ready):
                    self._welcome(worker, event)
                elif job is not None:
                    self._note(worker, job, event)
                    if isinstance(event, Committed | Progress | Done):
                        yield job.task, event
                        if isinstance(event, Done):  # recorded by now: what reads its outputs may begin
                            worker.queue.unfinished.discard(job.task.label)
            while self._undone:
                yield self._undone.pop()

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.handle.kill()
        self._workers.clear()
        self._meter.look((), ())

    def _move_workers(self, queues: Sequence[_Queue]) -> None:
        """Keep the workers that are large enough for a lane, with their models; end the others.

        One that is busy belongs to a run that was given up: what it says would be taken for this one's.
        """
        room = {id(queue): queue.size for queue in queues}
        kept = []
        for worker in self._workers:
            home = next((q for q in queues if room[id(q)] and holds(worker.resources, q.resources)), None)
            if home is None or worker.job is not None:
                worker.handle.kill()
                continue
            room[id(home)] -= 1
            worker.queue = home
            kept.append(worker)
        self._workers = kept

    def _assign(self, queue: _Queue) -> None:
        """Give the lane's jobs to its idle workers, starting workers up to its size."""
        mine = [w for w in self._workers if w.queue is queue]
        idle = [w for w in mine if w.job is None]
        while (idle or len(mine) < queue.size) and (job := queue.take()) is not None:
            worker = next((w for w in idle if not (job.fresh and w.used)), None)
            if worker is None:
                if len(mine) >= queue.size:  # all of them have done something, and this job asks for one that has not
                    mine.remove(idle[0])
                    self._end(idle.pop(0))
                handle = self._backend.start(queue.resources, lane=queue.name)
                worker = _Busy(handle, queue.resources, queue, time.monotonic())
                self._workers.append(worker)
                mine.append(worker)
            else:
                idle.remove(worker)
            self._give(worker, job)

    def _give(self, worker: _Busy, job: Job) -> None:
        worker.job, worker.begun, worker.at, worker.used = job, None, "", True
        worker.last_event = time.monotonic()
        if worker.stages is not None:
            self._submit(worker, job)

    def _submit(self, worker: _Busy, job: Job) -> None:
        isolation = job.task.isolation.model_copy(update={"patient": self._failures.hopeless()})
        self._meter.given(worker.queue.name, worker.resources, job.task)
        worker.handle.submit(job.task.model_copy(update={"isolation": isolation}))

    def _welcome(self, worker: _Busy, event: Ready) -> None:
        """A worker is up: give it the task that waits for it. A node that lacks a stage is refused before any work."""
        worker.stages, worker.loading = event.stages, ""
        if worker.job is None:
            return
        if (stage := worker.job.task.stage) not in event.stages:
            raise RunnerError(
                f"node {event.node} cannot do stage {stage!r}: package {package_of_stage(stage)!r} is installed where "
                "the run is driven and not there; install the same packages on every node"
            )
        self._submit(worker, worker.job)

    def _note(self, worker: _Busy, job: Job, event: Event) -> None:
        self._meter.heard(job.task, event)
        if isinstance(event, Progress):
            worker.begun = None if event.finished else event.span
            worker.loading, worker.at = "", f"{event.span.step} {event.span.start}"
            self._failures.note(event, job.counted)
        elif isinstance(event, Loading):
            worker.begun, worker.at, worker.loading = None, "", f"annotator {event.step!r}"
        elif isinstance(event, Done):
            worker.job, worker.begun = None, None

    def _overdue(self) -> list[tuple[WorkerHandle, Event]]:
        """Workers that are busy and have said nothing for too long."""
        now = time.monotonic()
        hung: list[tuple[WorkerHandle, Event]] = []
        for worker in self._workers:
            limit_s = self._limits.batch_timeout_s if worker.at else self._limits.load_timeout_s
            if worker.job is not None and now - worker.last_event > limit_s:
                hung.append((worker.handle, Lost(cause="hung", detail=f"nothing was heard for {limit_s:.0f} s")))
        return hung

    def _lose(self, worker: _Busy, event: Lost) -> None:
        """Replace a lost worker; its job goes back first in line, with what was learnt.

        Nothing is learnt where no more work is given out: what ends a run from outside may end all its processes.
        """
        self._check()
        if (job := self._give_back(worker, event.cause)) is None:
            return
        why = f"{WHAT[event.cause]} {worker.scene().doing} {event.detail}"
        log.warning("%s %s: %s", job.task.stage, job.task.label, why, extra=job.about)
        job.lose(event, worker.begun, worker.scene(), self._limits)

    def _break(self, worker: _Busy, event: Broken) -> None:
        """End a process that cannot be trusted; its job is done again in a fresh one."""
        if (job := self._give_back(worker, "device")) is None:
            return
        told = "%s %s: process ended, for it may fail on anything: %s"
        log.warning(told, job.task.stage, job.task.label, event.detail, extra=job.about)
        for span, _ in event.guilty:
            self._failures.guilty(span.step)
        job.break_(event, worker.scene(), self._limits)

    def _give_back(self, worker: _Busy, cause: Cause) -> Job | None:
        """End a worker; its job, if it has one, is the next of its lane."""
        self._end(worker)
        if (job := worker.job) is not None:
            self._meter.over(job.task, lost=cause)
            self._forget(job)
            worker.queue.jobs.appendleft(job)
        return job

    def _forget(self, job: Job) -> None:
        """An attempt came to nothing: what it has reported is not done."""
        self._undone += [(job.task, undone) for undone in job.undone()]
        self._failures.forget(job.counted)

    def _end(self, worker: _Busy) -> None:
        self._workers.remove(worker)
        worker.handle.kill()

    def _fail(self, worker: _Busy, event: Failed) -> None:
        """A task raised outside any sample: try again, or stop the run with its message."""
        job = worker.job
        assert job is not None, "an idle worker reported a failure"
        worker.job, worker.begun = None, None
        self._forget(job)
        self._meter.over(job.task, lost="error")
        job.attempts += 1
        log.warning("%s %s failed: %s", job.task.stage, job.task.label, event.detail, extra=job.about)
        if event.fatal or job.attempts > self._limits.task_retries:
            raise _ERRORS.get(event.error, RunnerError)(f"{job.task.stage} {job.task.label}: {event.detail}")
        worker.queue.jobs.append(job)
