"""The lanes and workers of a supervisor, and how many workers each lane may have: as many as there is room for now.

Nodes of a cluster come and go, and other tenants hold a part of it, so a worker that was asked for may wait for room.
Work is given to workers that are up alone: one that waits holds nothing up.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fld_engine.engine.plan.fit import holds
from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import Lane, Span
from fld_engine.engine.run.backend import Backend, Grows, WorkerHandle
from fld_engine.engine.run.jobs import Job, Scene
from fld_engine.engine.run.messages import Lost
from fld_engine.schemas.errors import RunnerError

log = logging.getLogger(__name__)

LOOK_S = 1.0
"""How often it is asked for how many workers there is room now."""
TELL_S = 30.0
"""How often it is told what is waited for."""
LEND_S = 20.0
"""How long a lane waits for its first worker before idle workers of other lanes make room for it."""


@dataclass(slots=True, eq=False)
class Queue:
    """A lane at work. A job is `held` while a lane before has one of the same label to finish: it may read its output.

    `size` is how many workers it may have. `waits_since` is when it began to lack a worker that is up, and `stillborn`
    counts workers in a row that ended before they were.
    """

    name: str
    resources: Resources
    size: int
    before: Sequence[Queue]
    jobs: deque[Job] = field(default_factory=deque)  # that may begin
    held: defaultdict[str, list[Job]] = field(default_factory=lambda: defaultdict(list))  # by label
    unfinished: set[str] = field(default_factory=set)  # labels
    after: list[Queue] = field(default_factory=list)
    waits_since: float = 0.0
    stillborn: int = 0

    @classmethod
    def of(cls, lane: Lane, size: int, before: Sequence[Queue]) -> Queue:
        """The queue of a lane that stands behind others; these learn of it."""
        earlier = set().union(*(queue.unfinished for queue in before))
        made = cls(lane.name, lane.resources, size, before=tuple(before))
        for task in lane.tasks:
            made.unfinished.add(task.label)
            (made.held[task.label] if task.label in earlier else made.jobs).append(Job(task))
        for queue in before:
            queue.after.append(made)
        return made

    @property
    def left(self) -> int:
        """Jobs that no worker has yet."""
        return len(self.jobs) + sum(map(len, self.held.values()))

    def take(self, *, fresh: bool) -> Job | None:
        """The first job that may begin; those that ask for a `fresh` process only for such a one."""
        for index, job in enumerate(self.jobs):
            if fresh or not job.fresh:
                del self.jobs[index]
                return job
        return None

    def finish(self, label: str) -> None:
        """A job is done: those of the same label in the lanes behind may begin, where no other holds them."""
        self.unfinished.discard(label)
        for queue in self.after:
            if label in queue.held and not any(label in other.unfinished for other in queue.before):
                queue.jobs.extend(queue.held.pop(label))


@dataclass(slots=True, eq=False)
class Busy:
    """A worker with the state the watch needs. `begun` is what it said it was about to do, and has not ended."""

    handle: WorkerHandle
    resources: Resources
    queue: Queue
    last_event: float
    job: Job | None = None
    begun: Span | None = None
    loading: str = ""  # what, until it reports work
    at: str = ""  # where it has reported work in this job; empty before that
    used: bool = False
    node: str = ""
    stages: frozenset[str] | None = None  # installed where it runs; None until it is up

    @property
    def is_up(self) -> bool:
        return self.stages is not None

    @property
    def is_idle(self) -> bool:
        return self.is_up and self.job is None

    def scene(self) -> Scene:
        before = f"while loading {self.loading}" if self.loading else "before it reported any work"
        return Scene(
            doing=f"at {self.at}" if self.at else before, working=bool(self.at), wanted_mb=self.resources.memory_mb
        )


class Room:
    """How many workers lanes may have side by side, as the backend has room, and how long they may wait for any."""

    def __init__(self, backend: Backend, limits: Limits, check: Callable[[], None]) -> None:
        self._backend, self._limits, self._check = backend, limits, check
        self._cluster = _growing(backend)
        self._looked_at = self._told_at = 0.0

    @property
    def grows(self) -> bool:
        """Whether a worker may wait for a node."""
        return self._cluster is not None

    def first(self, lanes: Sequence[Lane]) -> list[int]:
        """Workers of the first lanes that fit side by side now.

        Where none fits, and nodes may join, one is waited for. Raises `RunnerError` where none comes.
        """
        begun = time.monotonic()
        while True:
            for number in range(len(lanes), 0, -1):
                try:
                    sizes = self._backend.fit([lane.resources for lane in lanes[:number]])
                except RunnerError as error:
                    if not self.grows:
                        raise
                    refused = error
                else:
                    return [size for size in sizes if size]
            self._wait(f"lane {lanes[0].name}: {refused}", time.monotonic() - begun)
            self._check()
            time.sleep(LOOK_S)

    def look(self, queues: Sequence[Queue], workers: Sequence[Busy]) -> None:
        """Let lanes grow with the room there is, and say how much would be of use, once in `LOOK_S`.

        Raises `RunnerError` where none of them has a worker for too long.
        """
        now = time.monotonic()
        if now - self._looked_at < LOOK_S:
            return
        self._looked_at = now
        if self.grows:
            self._resize(queues)
            self.ask_for(queues)
        up = {id(worker.queue) for worker in workers if worker.is_up}
        lacking = [queue for queue in queues if id(queue) not in up and queue.jobs]
        for queue in queues:
            queue.waits_since = (queue.waits_since or now) if queue in lacking else 0.0
        if self.grows and lacking and not up:
            queue = lacking[0]
            self._wait(f"lane {queue.name} has no worker yet: {_asks(queue.resources)}", now - queue.waits_since)

    def lenders(self, queues: Sequence[Queue], workers: Sequence[Busy]) -> list[tuple[Busy, Queue]]:
        """Idle workers with nothing to do, each with a lane that has waited too long for its first one."""
        now = time.monotonic()
        needy = [q for q in queues if q.waits_since and now - q.waits_since > LEND_S]
        idle = [w for w in workers if w.is_idle and not w.queue.jobs]
        return list(zip(idle, needy, strict=False))

    def ask_for(self, queues: Sequence[Queue]) -> None:
        """Tell a cluster that starts nodes on request how many would be of use; none, where there are no lanes."""
        if self._cluster is not None:
            self._cluster.want([(queue.resources, queue.left) for queue in queues if queue.left])

    def stillborn(self, queue: Queue, lost: Lost) -> None:
        """A worker ended before it was up. Raises `RunnerError` where that happens again and again."""
        if lost.cause == "node":
            return
        queue.stillborn += 1
        log.warning("a worker of lane %s ended before it was up: %s", queue.name, lost.detail)
        if queue.stillborn > self._limits.task_retries:
            raise RunnerError(
                f"{queue.stillborn} workers of lane {queue.name} in a row ended before they were up, the last: "
                f"{lost.detail}; look at the last lines of its log, and at what a worker asks for "
                f"({_asks(queue.resources)})"
            )

    def _resize(self, queues: Sequence[Queue]) -> None:
        try:
            sizes = self._backend.fit([queue.resources for queue in queues])
        except RunnerError:  # no node holds one now: those that are there go on
            return
        for queue, size in zip(queues, sizes, strict=True):
            if size > queue.size:
                log.info("lane %s may have %d workers now, not %d", queue.name, size, queue.size)
            queue.size = max(size, 1)

    def _wait(self, what: str, waited_s: float) -> None:
        limit_s = self._limits.wait_for_nodes_s
        if waited_s > limit_s:
            raise RunnerError(
                f"{what}; waited {limit_s:.0f} s for it (limits.wait_for_nodes_s). Add a node, or wait until the "
                "cluster is free, and run again: what is recorded stays"
            )
        if (now := time.monotonic()) - self._told_at >= TELL_S:
            self._told_at = now
            if waited_s >= LOOK_S:
                log.warning("%s; waited %.0f s of at most %.0f", what, waited_s, limit_s)


def _growing(backend: Backend) -> Grows | None:
    """A backend as one whose nodes may join; `None` where they stay as they are."""
    return backend if isinstance(backend, Grows) and backend.grows else None


def _asks(resources: Resources) -> str:
    return f"one asks for {resources.cpus:g} CPU, {resources.gpus:g} GPU and {resources.memory_mb} MB"


def suits(worker: Busy, queue: Queue) -> bool:
    """Whether a worker is large enough for the tasks of a lane."""
    return holds(worker.resources, queue.resources)


def fits(backend: Backend, requests: Sequence[Resources]) -> None:
    """See before any work whether the workers fit. Raises `RunnerError` where they do not and no node may join."""
    try:
        backend.fit(requests)
    except RunnerError as error:
        if _growing(backend) is None:
            raise
        log.warning("%s: when the run gets there, a node is waited for (limits.wait_for_nodes_s)", error)
