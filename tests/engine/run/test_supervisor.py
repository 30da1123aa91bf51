"""What the supervisor makes of a worker that cannot do what it is given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Span, Task
from fld_engine.engine.run.messages import Done, Event, Failed, Progress, Ready
from fld_engine.engine.run.supervisor import Supervisor, WorkerHandle
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RunnerError, TransportError


class Nothing(Frozen):
    """A task that has nothing to be told."""


class RemoteHandle:
    """A worker on a node where `stages` are installed; it says so, and then does what it is given at once."""

    def __init__(self, stages: frozenset[str], answers: Sequence[Event] = ()) -> None:
        self.events: list[Event] = [Ready(node="node7", stages=stages)]
        self.submitted: list[Task] = []
        self.answers = list(answers)
        self.killed = False

    def submit(self, task: Task) -> None:
        self.submitted.append(task)
        self.events.append(self.answers.pop(0) if self.answers else Done())

    def kill(self) -> None:
        self.killed = True


class Nodes:
    """A backend of one worker."""

    def __init__(self, stages: frozenset[str], answers: Sequence[Event] = ()) -> None:
        self.worker = RemoteHandle(stages, answers)

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        return [1 for _ in requests]

    def start(self, resources: Resources) -> WorkerHandle:
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


UNREACHED = Failed(error="TransportError", detail="s3://b/p.tar: the store could not answer", fatal=False)


def test_bytes_that_could_not_be_had_are_asked_for_by_another_try_of_the_task() -> None:
    nodes = Nodes(frozenset({"export"}), [UNREACHED, UNREACHED])
    (event,) = (event for _, event in Supervisor(nodes, Limits(task_retries=2)).run([lane()]))
    assert isinstance(event, Done)
    assert len(nodes.worker.submitted) == 3


def test_bytes_that_cannot_be_had_stop_the_run_under_their_own_name() -> None:
    """Whoever drives can tell a store that is away, which passes by waiting, from a task that cannot be done."""
    nodes = Nodes(frozenset({"export"}), [UNREACHED] * 3)
    with pytest.raises(TransportError, match=r"export group 0.*s3://b/p\.tar"):
        list(Supervisor(nodes, Limits(task_retries=2)).run([lane()]))


def test_a_worker_that_is_busy_for_a_run_that_was_given_up_is_ended() -> None:
    """What it says of the old task would be taken for the new one of the same label."""
    nodes = Nodes(frozenset({"export"}), [Progress(span=Span(step="x", start=0, stop=1))])
    supervisor = Supervisor(nodes, Limits())
    next(supervisor.run([lane()]))
    old, nodes.worker = nodes.worker, RemoteHandle(frozenset({"export"}))
    (event,) = (event for _, event in supervisor.run([lane()]))
    assert isinstance(event, Done)
    assert old.killed
