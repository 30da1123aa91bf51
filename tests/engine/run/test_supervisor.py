"""What the supervisor makes of a worker that cannot do what it is given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.run.messages import Done, Event, Ready
from fld_engine.engine.run.supervisor import Supervisor, WorkerHandle
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RunnerError


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
