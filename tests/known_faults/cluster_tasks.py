"""What the workers of a cluster are given to do in tests: a stage of a package that the tests make."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Task
from fld_engine.schemas.annotations import Frozen


class Nap(Frozen):
    """Wait for so many seconds."""

    seconds: float


class Slept(Frozen):
    """`pid` is that of the worker's process."""

    pid: int


class Sleep:
    name: ClassVar[str] = "sleep"
    after: ClassVar[tuple[str, ...]] = ()
    every_run: ClassVar[bool] = False
    restores: ClassVar[bool] = False

    def is_current(self, plan: Plan) -> bool:
        return True

    def run(self, driver: Driver) -> None: ...

    def numbers(self, result: Any) -> Mapping[str, int]:
        return {}

    def work(self, task: Task, worker: Worker) -> Slept:
        assert isinstance(task.payload, Nap)
        time.sleep(task.payload.seconds)
        return Slept(pid=os.getpid())
