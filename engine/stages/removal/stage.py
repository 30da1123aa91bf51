"""Stage `removal`: images go out of everything that a root holds, and what is given out is made again without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

from fld_engine.engine.data.tombstones import finish_removal
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.stages import Driver, StepStage, Worker
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.stages.removal import request
from fld_engine.engine.stages.removal.request import RemovalReport


class Remove:
    """Takes the images `ids` out; built without any, it only goes through with what was begun."""

    name: ClassVar[str] = "removal"
    after: ClassVar[tuple[str, ...]] = ()
    every_run: ClassVar[bool] = False
    restores: ClassVar[bool] = False

    def __init__(self, ids: Iterable[str] = ()) -> None:
        self.ids = frozenset(ids)

    def open(self, driver: Driver) -> None:
        """Go through with a removal that was begun, here or by a driver that was killed."""
        if request.is_unfinished(driver.store):
            driver.watch("remove", 0, 0)
            request.resume(driver.store, lambda: driver.watch("remove", 1, 0))

    def is_current(self, plan: Plan) -> bool:
        return not request.is_unfinished(plan.store)

    def run(self, driver: Driver) -> RemovalReport:
        """No model is loaded.

        Raises `ConfigError` for ids that the root does not have, `RootError` where something in the root cannot be
        searched for them; nothing is done then.
        """
        pending = request.begin(driver.store, self.ids)
        if pending is None:
            return request.report(driver.store, self.ids, None, exported=False)
        self.open(driver)
        exported = pending.had_export and _is_annotated(driver.plan())
        if exported:
            for stage in installed_stages():
                if stage.restores:
                    driver.run(stage)
        elif not pending.had_export:
            finish_removal(driver.store)
        return request.report(driver.store, self.ids, pending, exported=exported)

    def numbers(self, result: RemovalReport) -> Mapping[str, int]:
        return {"removed": len(result.removed)}

    def work(self, task: Task, worker: Worker) -> None:
        raise TypeError(f"stage {self.name} has no tasks")


def _is_annotated(plan: Plan) -> bool:
    """Whether everything is there that a removal does not make again."""
    return all(
        stage.is_current(plan)
        for stage in installed_stages()
        if isinstance(stage, StepStage) and stage.every_run and not stage.restores
    )
