"""Where workers live, as the supervisor sees it: this machine's processes, or a Ray cluster's actors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.run.messages import Event


class WorkerHandle(Protocol):
    """One worker process, seen from the driver."""

    def submit(self, task: Task) -> None: ...

    def kill(self) -> None:
        """End it at once, whatever it does."""
        ...


class Backend(Protocol):
    """Where workers live: this machine's processes, or a Ray cluster's actors."""

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        """Workers of each size that run side by side; 0 for those that must wait for the earlier ones.

        Raises `RunnerError` when a single worker fits nowhere.
        """
        ...

    def start(self, resources: Resources, *, lane: str = "") -> WorkerHandle:
        """Begin a worker for the tasks of a lane, which it may be called after."""
        ...

    def poll(self, workers: Sequence[WorkerHandle], timeout_s: float) -> list[tuple[WorkerHandle, Event]]:
        """Events since the last call, in order for each worker; `Lost` when its process ended."""
        ...


@runtime_checkable
class Grows(Protocol):
    """A backend whose nodes may come and go while a run goes on, where it says so."""

    @property
    def grows(self) -> bool: ...

    def want(self, wanted: Sequence[tuple[Resources, int]]) -> None:
        """Say how many workers of each size would have something to do; what was said before is forgotten."""
        ...
