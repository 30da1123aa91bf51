"""The loop that both runners share: hands out tasks, watches workers, replaces the lost, isolates poison."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence

from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.registry import package_of_stage
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.run.backend import Backend, WorkerHandle
from fld_engine.engine.run.crew import Crew, crew_of
from fld_engine.engine.run.failures import FailureWatch
from fld_engine.engine.run.jobs import WHAT, Job
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
from fld_engine.engine.run.pool import Busy, Queue, Room, suits
from fld_engine.engine.run.said import retell
from fld_engine.schemas.errors import FldError, ModelError, RunnerError, TransportError

log = logging.getLogger(__name__)

POLL_S = 0.2
_ERRORS: dict[str, type[FldError]] = {kind.__name__: kind for kind in (ModelError, TransportError)}
"""Errors of workers that stay what they are; any other one is the runner's."""


class Supervisor:
    """Runs lanes of tasks on a backend's workers, which stay up between calls until `close`.

    `check` is called before work is given out, and raises where there must be no more. `meter` is told of everything.
    """

    def __init__(
        self, backend: Backend, limits: Limits, check: Callable[[], None] = lambda: None, meter: Meter | None = None
    ) -> None:
        self._backend, self._limits, self._check, self._meter = backend, limits, check, meter or Meter()
        self._workers: list[Busy] = []
        self._room = Room(backend, limits, check)
        self._failures = FailureWatch(limits.max_failed_share)
        self._undone: list[tuple[Task, Undone]] = []

    def crew(self) -> Crew:
        """The workers as they are now; asked from any thread."""
        return crew_of((w.is_up, w.loading if w.job is not None else "") for w in list(self._workers))

    def run(self, lanes: Sequence[Lane]) -> Iterator[tuple[Task, Committed | Progress | Done | Undone]]:
        """Do every task of the lanes, yielding what workers report; each task ends with its `Done`.

        Lanes stand in the order of the graph. Those that fit side by side run together, the others after them; tasks
        of one label (a partition) run in the order of the lanes. A lane grows where nodes join, and goes on with the
        workers that it has where they leave. Raises `RunnerError` when a task cannot be done, when no worker comes up,
        or when a step fails on more than the limits allow.
        """
        self._failures = FailureWatch(self._limits.max_failed_share)
        self._undone.clear()
        waiting = [lane for lane in lanes if lane.tasks]
        while waiting:
            sizes = self._room.first(waiting)
            yield from self._run_together(waiting[: len(sizes)], sizes)
            waiting = waiting[len(sizes) :]

    def _run_together(
        self, lanes: Sequence[Lane], sizes: Sequence[int]
    ) -> Iterator[tuple[Task, Committed | Progress | Done | Undone]]:
        queues: list[Queue] = []
        for lane, size in zip(lanes, sizes, strict=True):
            queues.append(Queue.of(lane, size, before=queues))
        self._move_workers(queues)
        while any(queue.unfinished for queue in queues):
            self._check()
            self._room.look(queues, self._workers)
            self._lend(queues)
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
                            worker.queue.finish(job.task.label)
            while self._undone:
                yield self._undone.pop()

    def close(self) -> None:
        """End all workers."""
        self._room.ask_for(())
        for worker in self._workers:
            worker.handle.kill()
        self._workers.clear()
        self._meter.look((), ())

    def _move_workers(self, queues: Sequence[Queue]) -> None:
        """Keep the workers that are large enough for a lane, with their models; end the others.

        One that is busy belongs to a run that was given up: what it says would be taken for this one's.
        """
        room = {id(queue): queue.size for queue in queues}
        kept = []
        for worker in self._workers:
            home = next((q for q in queues if room[id(q)] and suits(worker, q)), None)
            if home is None or worker.job is not None:
                worker.handle.kill()
                continue
            room[id(home)] -= 1
            worker.queue = home
            kept.append(worker)
        self._workers = kept

    def _lend(self, queues: Sequence[Queue]) -> None:
        """Have idle workers make room for a lane that has waited for its first worker: they do its tasks, or end."""
        for worker, needy in self._room.lenders(queues, self._workers):
            if suits(worker, needy):
                worker.queue = needy
            else:
                self._end(worker)

    def _assign(self, queue: Queue) -> None:
        """Give the lane's jobs to its idle workers, and start workers up to its size for those that are left."""
        mine = [w for w in self._workers if w.queue is queue]
        idle = [w for w in mine if w.is_idle]
        for worker in idle:
            if (job := queue.take(fresh=not worker.used)) is not None:
                self._give(worker, job)
        starting = [w for w in mine if not w.is_up]
        left = len(queue.jobs) - len(starting)
        spent = [w for w in idle if w.job is None]
        if left > 0 and not starting and spent and len(mine) >= queue.size:
            mine.remove(spent[0])  # all of them have done something, and what is left asks for one that has not
            self._end(spent[0])
        for _ in range(min(left, queue.size - len(mine))):
            handle = self._backend.start(queue.resources, lane=queue.name)
            self._workers.append(Busy(handle, queue.resources, queue, time.monotonic()))

    def _give(self, worker: Busy, job: Job) -> None:
        """Give a task to a worker that is up. A node that lacks its stage is refused before any work."""
        if job.task.stage not in (worker.stages or ()):
            stage = job.task.stage
            raise RunnerError(
                f"node {worker.node} cannot do stage {stage!r}: package {package_of_stage(stage)!r} is installed where "
                "the run is driven and not there; install the same packages on every node"
            )
        worker.job, worker.begun, worker.at, worker.used = job, None, "", True
        worker.last_event = time.monotonic()
        self._submit(worker, job)

    def _submit(self, worker: Busy, job: Job) -> None:
        isolation = job.task.isolation.model_copy(update={"patient": self._failures.hopeless()})
        self._meter.given(worker.queue.name, worker.resources, job.task)
        worker.handle.submit(job.task.model_copy(update={"isolation": isolation}))

    def _welcome(self, worker: Busy, event: Ready) -> None:
        """A worker is up: it gets work with the next look at its lane."""
        worker.stages, worker.node, worker.queue.stillborn = event.stages, event.node, 0

    def _note(self, worker: Busy, job: Job, event: Event) -> None:
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
        """Workers that have said nothing for too long, while they were busy or began.

        One that has not begun on a cluster whose nodes come and go may wait for room: it is asked for anew.
        """
        now = time.monotonic()
        hung: list[tuple[WorkerHandle, Event]] = []
        for worker in list(self._workers):
            limit_s = self._limits.batch_timeout_s if worker.at else self._limits.load_timeout_s
            if worker.is_idle or now - worker.last_event <= limit_s:
                continue
            if not worker.is_up and self._room.grows:
                self._end(worker)
            else:
                hung.append((worker.handle, Lost(cause="hung", detail=f"nothing was heard for {limit_s:.0f} s")))
        return hung

    def _lose(self, worker: Busy, event: Lost) -> None:
        """Replace a lost worker; its job goes back first in line, with what was learnt.

        Nothing is learnt where no more work is given out: what ends a run from outside may end all its processes.
        """
        self._check()
        if not worker.is_up:
            self._end(worker)
            self._room.stillborn(worker.queue, event)
            return
        if (job := self._give_back(worker, event.cause)) is None:
            return
        why = f"{WHAT[event.cause]} {worker.scene().doing} {event.detail}"
        log.warning("%s %s: %s", job.task.stage, job.task.label, why, extra=job.about)
        job.lose(event, worker.begun, worker.scene(), self._limits)

    def _break(self, worker: Busy, event: Broken) -> None:
        """End a process that cannot be trusted; its job is done again in a fresh one."""
        if (job := self._give_back(worker, "device")) is None:
            return
        told = "%s %s: process ended, for it may fail on anything: %s"
        log.warning(told, job.task.stage, job.task.label, event.detail, extra=job.about)
        for span, _ in event.guilty:
            self._failures.guilty(span.step)
        job.break_(event, worker.scene(), self._limits)

    def _give_back(self, worker: Busy, cause: Cause) -> Job | None:
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

    def _end(self, worker: Busy) -> None:
        self._workers.remove(worker)
        worker.handle.kill()

    def _fail(self, worker: Busy, event: Failed) -> None:
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
