"""Stage `merge-round`: the tasks of a round of refinement, and what rounds leave in a root."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Task
from fld_engine.schemas.annotations import Frozen

NAME = "merge-round"


class MergeRound:
    """Merges partitions where `fld refine` asks for it; a run of the pipeline has none of it to do."""

    name: ClassVar[str] = NAME
    after: ClassVar[tuple[str, ...]] = ("filter",)
    every_run: ClassVar[bool] = False
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 40
    holdings: ClassVar[tuple[Holding, ...]] = (
        # students of a round have learned from the images that go, so all rounds go with them
        Holding(glob="rounds", how="whole"),
        Holding(glob="training", how="whole"),
        Holding(glob="ledger", how="by_image"),
    )

    def is_current(self, plan: Plan) -> bool:
        return True

    def run(self, driver: Driver) -> None:
        """Nothing: rounds are asked for."""

    def numbers(self, result: None) -> Mapping[str, int]:
        return {}

    def work(self, task: Task, worker: Worker) -> Frozen:
        # here, because every plan loads all stages, and the rest of refinement is not light
        from fld_engine.refinement.loop.partition_merge import PartitionMerge, merge_partition

        assert isinstance(task.payload, PartitionMerge), "a task of another stage"
        return merge_partition(worker.store, task.payload)
