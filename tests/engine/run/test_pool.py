"""A pool of workers on a cluster whose nodes come and go: what waits, what grows, what makes room, what gives up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.run import pool
from fld_engine.engine.run.backend import WorkerHandle
from fld_engine.engine.run.messages import Done, Event, Lost, Ready
from fld_engine.engine.run.supervisor import Supervisor
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RunnerError

SMALL = Resources(cpus=1, memory_mb=100)
LARGE = Resources(cpus=2, memory_mb=100)


class Nothing(Frozen):
    """A task that has nothing to be told."""


class Actor:
    """A worker that comes up where there is room, and does what it is given one look later."""

    def __init__(self, resources: Resources, lane: str) -> None:
        self.resources, self.lane = resources, lane
        self.events: list[Event] = []
        self.up = self.killed = False
        self.done: list[str] = []

    def submit(self, task: Task) -> None:
        self.done.append(task.label)
        self.events.append(Done())

    def kill(self) -> None:
        self.killed = True


class Cluster:
    """A cluster with `room` CPUs for us, of which it says that it has `has`; `happens` is called at each look."""

    def __init__(self, has: int, room: int, happens: Callable[[Cluster], None] = lambda cluster: None) -> None:
        self.has, self.room, self.happens = has, room, happens
        self.grows = True
        self.actors: list[Actor] = []
        self.wanted: list[list[tuple[Resources, int]]] = []
        self.looks = 0

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        if any(request.cpus > self.has for request in requests):
            raise RunnerError(f"no node has that: {self.has} CPU")
        sizes, left = [], float(self.has)
        for request in requests:
            sizes.append(int(left // request.cpus) if request is requests[-1] else min(1, int(left // request.cpus)))
            left -= sizes[-1] * request.cpus
        return sizes

    def start(self, resources: Resources, *, lane: str = "") -> WorkerHandle:
        self.actors.append(Actor(resources, lane))
        return self.actors[-1]

    def want(self, wanted: Sequence[tuple[Resources, int]]) -> None:
        self.wanted.append(list(wanted))

    def poll(self, workers: Sequence[WorkerHandle], timeout_s: float) -> list[tuple[WorkerHandle, Event]]:
        self.looks += 1
        self.happens(self)
        self._place()
        found: list[tuple[WorkerHandle, Event]] = []
        for actor in self.alive:
            found += [(actor, event) for event in actor.events]
            actor.events = []
        return found

    @property
    def alive(self) -> list[Actor]:
        return [actor for actor in self.actors if not actor.killed]

    def _place(self) -> None:
        """Those that wait come up in their order, as far as there is room."""
        for actor in self.alive:
            held = sum(other.resources.cpus for other in self.alive if other.up)
            if not actor.up and held + actor.resources.cpus <= self.room:
                actor.up = True
                actor.events.append(Ready(node="node7", stages=frozenset({"export"})))


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LOOK_S", 0.0)
    monkeypatch.setattr(pool, "LEND_S", 0.0)


def lane(name: str, resources: Resources, *labels: str) -> Lane:
    tasks = [Task(stage="export", root="memory://root", label=label, payload=Nothing()) for label in labels]
    return Lane(name=name, resources=resources, tasks=tasks)


def run(cluster: Cluster, *lanes: Lane, limits: Limits | None = None) -> list[tuple[str, str]]:
    """(lane, label) of what got done, in order."""
    supervisor = Supervisor(cluster, limits or Limits())
    named = {id(task): one.name for one in lanes for task in one.tasks}
    done = [(named[id(task)], task.label) for task, event in supervisor.run(lanes) if isinstance(event, Done)]
    supervisor.close()
    return done


def labels(number: int) -> list[str]:
    return [f"{i:02d}" for i in range(number)]


def test_a_worker_that_finds_no_room_holds_no_task() -> None:
    """Half of the cluster is somebody else's: its place is asked for, and the other half does all the work."""
    cluster = Cluster(has=2, room=1)
    assert [label for _, label in run(cluster, lane("l", SMALL, *labels(6)))] == labels(6)
    assert [len(actor.done) for actor in cluster.actors] == [6, 0]


def test_a_lane_grows_with_a_node_that_joins() -> None:
    def join(cluster: Cluster) -> None:
        if cluster.looks == 4:
            cluster.has = cluster.room = 3

    cluster = Cluster(has=1, room=1, happens=join)
    run(cluster, lane("l", SMALL, *labels(30)))
    assert len(cluster.actors) == 3
    assert all(actor.done for actor in cluster.actors)


def test_a_node_that_leaves_for_good_takes_its_tasks_to_the_others() -> None:
    def leave(cluster: Cluster) -> None:
        if cluster.looks == 3:
            cluster.has = cluster.room = 1
            gone = cluster.actors[1]
            gone.events = [Lost(cause="node")]
            gone.up = False

    cluster = Cluster(has=2, room=2, happens=leave)
    assert sorted(label for _, label in run(cluster, lane("l", SMALL, *labels(9)))) == labels(9)


def test_a_node_of_the_kind_is_waited_for() -> None:
    asked = 0

    class Late(Cluster):
        def fit(self, requests: Sequence[Resources]) -> list[int]:
            nonlocal asked
            asked += 1
            if asked == 3:
                self.has = self.room = 2
            return super().fit(requests)

    assert run(Late(has=1, room=1), lane("l", LARGE, "00")) == [("l", "00")]


def test_one_that_never_comes_ends_the_run_with_what_was_waited_for() -> None:
    limits = Limits(wait_for_nodes_s=0.05)
    with pytest.raises(RunnerError, match=r"lane l: no node has that: 1 CPU; waited 0 s for it .*wait_for_nodes_s"):
        run(Cluster(has=1, room=1), lane("l", LARGE, "00"), limits=limits)
    with pytest.raises(RunnerError, match="lane l has no worker yet: one asks for 1 CPU"):
        run(Cluster(has=1, room=0), lane("l", SMALL, "00"), limits=limits)


def test_on_a_machine_that_stays_as_it_is_nothing_is_waited_for() -> None:
    cluster = Cluster(has=1, room=1)
    cluster.grows = False
    with pytest.raises(RunnerError, match=r"^no node has that: 1 CPU$"):
        run(cluster, lane("l", LARGE, "00"))


def test_lanes_that_fit_go_first_where_one_behind_them_waits_for_a_node() -> None:
    def join(cluster: Cluster) -> None:
        if sum(len(actor.done) for actor in cluster.actors) == 2:
            cluster.has = cluster.room = 2

    done = run(Cluster(has=1, room=1, happens=join), lane("cpu", SMALL, "00", "01"), lane("gpu", LARGE, "00", "01"))
    assert done == [("cpu", "00"), ("cpu", "01"), ("gpu", "00"), ("gpu", "01")]


def test_workers_with_nothing_to_do_make_room_for_a_lane_that_has_none() -> None:
    """A node left, and what is left of the cluster is held by workers of the lane behind, which wait for this one."""

    def leave(cluster: Cluster) -> None:
        if cluster.looks == 2:
            cluster.room = 1
            for actor in cluster.alive:
                if actor.lane == "first":
                    actor.events, actor.up = [Lost(cause="node")], False

    cluster = Cluster(has=2, room=2, happens=leave)
    tasks = labels(4)
    done = run(cluster, lane("first", SMALL, *tasks), lane("second", SMALL, *tasks), limits=Limits(load_timeout_s=5))
    assert sorted(done) == [(name, label) for name in ("first", "second") for label in tasks]
    assert len(done) == 8


def test_a_cluster_that_starts_nodes_is_told_what_is_of_use_and_in_the_end_that_nothing_is() -> None:
    cluster = Cluster(has=1, room=1)
    run(cluster, lane("l", SMALL, *labels(5)))
    assert cluster.wanted[0] == [(SMALL, 5)]
    assert cluster.wanted[-1] == []


def test_workers_that_never_come_up_end_the_run() -> None:
    def die(cluster: Cluster) -> None:
        for actor in cluster.alive:
            actor.events = [Lost(cause="process", detail="exit status 1")]

    with pytest.raises(RunnerError, match=r"3 workers of lane l in a row ended before they were up, .*exit status 1"):
        run(Cluster(has=1, room=0, happens=die), lane("l", SMALL, "00"), limits=Limits(task_retries=2))
