"""What the supervisor makes of a worker that cannot do what it is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

import pytest

from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import ARITHMETIC, Isolation, Lane, Span, Task
from fld_engine.engine.run.backend import WorkerHandle
from fld_engine.engine.run.messages import Broken, Cause, Done, Event, Failed, Loading, Lost, Progress, Ready
from fld_engine.engine.run.supervisor import Supervisor
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RunnerError, TransportError


class Nothing(Frozen):
    """A task that has nothing to be told."""


class RemoteHandle:
    """A worker on a node where `stages` are installed; it says so, and then does what it is given at once."""

    def __init__(self, stages: frozenset[str]) -> None:
        self.events: list[Event] = [Ready(node="node7", stages=stages)]
        self.submitted: list[Task] = []

    def submit(self, task: Task) -> None:
        self.submitted.append(task)
        self.events.append(Done())

    def kill(self) -> None: ...


class Nodes:
    """A backend of one worker."""

    def __init__(self, stages: frozenset[str]) -> None:
        self.worker = RemoteHandle(stages)

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        return [1 for _ in requests]

    def start(self, resources: Resources, *, lane: str = "") -> WorkerHandle:
        return self.worker

    def poll(self, workers: Sequence[WorkerHandle], timeout_s: float) -> list[tuple[WorkerHandle, Event]]:
        events, self.worker.events = self.worker.events, []
        return [(self.worker, event) for event in events]


def lane() -> Lane:
    task = Task(stage="export", root="memory://root", label="group 0", payload=Nothing())
    return Lane(name="export", resources=ARITHMETIC, tasks=[task])


def test_a_node_that_lacks_the_package_of_a_stage_is_refused_by_name_before_any_work() -> None:
    """Its worker could not even read the task: nobody would hear of it until a limit has passed."""
    nodes = Nodes(stages=frozenset({"ingest"}))
    with pytest.raises(RunnerError, match="node node7 cannot do stage 'export': package 'fld-engine'"):
        list(Supervisor(nodes, Limits()).run([lane()]))
    assert nodes.worker.submitted == []


def test_a_worker_gets_its_first_task_once_it_is_up() -> None:
    nodes = Nodes(stages=frozenset({"export"}))
    (event,) = (event for _, event in Supervisor(nodes, Limits()).run([lane()]))
    assert isinstance(event, Done)
    assert [task.label for task in nodes.worker.submitted] == ["group 0"]


class Process:
    """A worker that does tasks by a script: what it says of each."""

    def __init__(self, script: deque[list[Event]]) -> None:
        self.events: list[Event] = [Ready(node="node7", stages=frozenset({"export"}))]
        self.submitted: list[Task] = []
        self.killed = False
        self._script = script

    def submit(self, task: Task) -> None:
        self.submitted.append(task)
        self.events += self._script.popleft() if self._script else [Done()]

    def kill(self) -> None:
        self.killed = True


class Machine:
    """A backend whose workers take the tasks of one script in turn; what comes after its end gets done."""

    def __init__(self, script: Iterable[list[Event]], workers: int = 1) -> None:
        self.processes: list[Process] = []
        self._script, self._workers = deque(script), workers

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        return [self._workers for _ in requests]

    def start(self, resources: Resources, *, lane: str = "") -> WorkerHandle:
        self.processes.append(Process(self._script))
        return self.processes[-1]

    def poll(self, workers: Sequence[WorkerHandle], timeout_s: float) -> list[tuple[WorkerHandle, Event]]:
        found: list[tuple[WorkerHandle, Event]] = []
        for process in self.processes:
            if process in workers:
                found += [(process, event) for event in process.events]
                process.events = []
        return found

    def isolations(self) -> list[Isolation]:
        return [task.isolation for process in self.processes for task in process.submitted]


def run(machine: Machine, limits: Limits, *labels: str) -> list[str]:
    """Tasks of a stage that says nothing of spans, such as an export: the labels of those that got done."""
    tasks = [Task(stage="export", root="memory://root", label=name, payload=Nothing()) for name in labels]
    lanes = [Lane(name="export", resources=ARITHMETIC, tasks=tasks)]
    return [task.label for task, event in Supervisor(machine, limits).run(lanes) if isinstance(event, Done)]


def units(*starts: int) -> tuple[Span, ...]:
    return tuple(Span(step="s", start=start, stop=start + 1) for start in starts)


@pytest.mark.parametrize("cause", ["process", "memory", "hung"])
@pytest.mark.parametrize("retries", [0, 1, 2])
def test_a_task_whose_worker_is_always_lost_ends_the_run(cause: Cause, retries: int) -> None:
    """Tried for ever, it would keep a machine for ever and never say why. A first loss may lie outside of its work."""
    at_work = Progress(span=units(3)[0], finished=1)
    machine = Machine([[at_work, Lost(cause=cause, detail="SIGKILL", peak_mb=900)]] * 20)
    with pytest.raises(RunnerError) as stop:
        run(machine, Limits(task_retries=retries), "group 0")
    assert len(machine.processes) == retries + 2
    said = str(stop.value)
    assert said.startswith(f"export group 0: its worker was lost {retries + 2} times")
    assert "at s 3: SIGKILL; it held up to 900 MB and asks for 500 MB" in said
    assert {"process": "log", "memory": "memory_mb", "hung": "batch_timeout_s"}[cause] in said
    assert "limits.task_retries" in said


def test_causes_are_told_apart_and_counted_together() -> None:
    machine = Machine([[Lost(cause="process")], [Lost(cause="memory", peak_mb=700)], [Lost(cause="process")]])
    with pytest.raises(RunnerError, match=r"killed for want of memory \(1 times\)") as stop:
        run(machine, Limits(task_retries=1), "group 0")
    assert "its process died (2 times)" in str(stop.value)


def test_a_model_that_hangs_while_it_loads_counts_from_the_first_time() -> None:
    machine = Machine([[Loading(step="detector"), Lost(cause="hung")]])
    with pytest.raises(RunnerError, match="while loading annotator 'detector'"):
        run(machine, Limits(task_retries=0), "p000000")


def test_a_node_that_leaves_is_no_fault_of_a_task() -> None:
    """Spot machines come and go: a task that was at work on ten of them is simply done again."""
    machine = Machine([[Progress(span=units(3)[0]), Lost(cause="node")]] * 10)
    assert run(machine, Limits(task_retries=0), "group 0") == ["group 0"]
    assert set(machine.isolations()) == {Isolation()}


def test_what_a_broken_process_left_undone_begins_in_one_that_has_done_nothing() -> None:
    """Another that is idle may have a device that is as dead, or dying."""
    broken: list[Event] = [Broken(detail="CUDA error", spans=units(4))]
    machine = Machine([[Done()], broken], workers=2)
    assert sorted(run(machine, Limits(), "a", "b")) == ["a", "b"]
    used, lost, fresh = machine.processes
    assert [task.label for task in (*used.submitted, *lost.submitted, *fresh.submitted)] == ["a", "b", "b"]


def test_images_that_a_broken_process_blames_are_not_tried_again() -> None:
    first = [Broken(detail="CUDA error", spans=units(4, 5))]
    second = [Broken(detail="CUDA error", spans=units(5), guilty=((units(4)[0], "RuntimeError: CUDA error"),))]
    machine = Machine([first, second])
    assert run(machine, Limits(), "p000000") == ["p000000"]
    assert [len(process.submitted) for process in machine.processes] == [1, 1, 1]
    assert [process.killed for process in machine.processes] == [True, True, False]
    last = machine.isolations()[-1]
    assert last.condemned == ((units(4)[0], "RuntimeError: CUDA error"),)
    assert last.suspects == units(5)


def test_a_device_that_breaks_without_an_image_to_blame_ends_the_run() -> None:
    machine = Machine([[Broken(detail="CUDA error: no kernel image", spans=units(4))]] * 20)
    with pytest.raises(
        RunnerError, match=r"export p000000: .*could not be trusted.*CUDA error: no kernel image.*nvidia-smi"
    ):
        run(machine, Limits(task_retries=2), "p000000")
    assert len(machine.processes) <= 6


def test_a_step_that_nothing_works_for_is_told_so() -> None:
    """After three images that failed alone in fresh processes, failures in a row say nothing of a process any more."""
    script = [[Broken(detail="bad", spans=units(n + 1), guilty=((units(n)[0], "bad"),))] for n in range(3)]
    machine = Machine(script)
    run(machine, Limits(), "p000000", "p000001")
    assert [isolation.patient for isolation in machine.isolations()] == [(), (), (), ("s",), ("s",)]


UNREACHED: list[Event] = [
    Failed(error="TransportError", detail="s3://b/p.tar: the store could not answer", fatal=False)
]


def test_bytes_that_could_not_be_had_are_asked_for_by_another_try_of_the_task() -> None:
    assert run(Machine([UNREACHED, UNREACHED]), Limits(task_retries=2), "group 0") == ["group 0"]


def test_bytes_that_cannot_be_had_stop_the_run_under_their_own_name() -> None:
    """Whoever drives can tell a store that is away, which passes by waiting, from a task that cannot be done."""
    with pytest.raises(TransportError, match=r"export group 0.*s3://b/p\.tar"):
        run(Machine([UNREACHED] * 3), Limits(task_retries=2), "group 0")


def test_a_worker_that_is_busy_for_a_run_that_was_given_up_is_ended() -> None:
    """What it says of the old task would be taken for the new one of the same label."""
    machine = Machine([[Progress(span=Span(step="x", start=0, stop=1))]])
    supervisor = Supervisor(machine, Limits())
    next(supervisor.run([lane()]))
    (event,) = (event for _, event in supervisor.run([lane()]))
    assert isinstance(event, Done)
    assert [process.killed for process in machine.processes] == [True, False]
