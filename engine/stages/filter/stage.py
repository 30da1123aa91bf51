"""Stage `filter`: verdicts of every partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from fld_engine.engine.data.partition import load_view, write_output
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.plan.config import FilterConfig
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Found, Plan, one_task_each
from fld_engine.engine.plan.protocols import Filter as FilterOfTable
from fld_engine.engine.plan.registry import build_filter
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Lane, Span, Task
from fld_engine.engine.stages.contamination.stage import Contamination
from fld_engine.engine.stages.contamination.state import contaminated_at, finds_of
from fld_engine.engine.stages.contamination.verdicts import contaminated
from fld_engine.engine.stages.filter.decide import decide
from fld_engine.schemas.annotations import Frozen

VERDICTS = "verdicts"
"""The one step of the stage, and its folder."""
VERSION = 2
"""Version of the way verdicts are put together from filters, and of the rows that they judge."""


class FilterPartition(Frozen):
    """Run the filters over a partition."""

    partition: PartitionRecord
    filters: Mapping[str, FilterConfig]
    outputs: Mapping[str, str]  # annotator → fingerprint, in graph order
    fingerprint: str
    contamination: str = ""  # fingerprint of the look-up, where it found something


class Filter:
    """One step for all filters: they ask one another's survivors."""

    name: ClassVar[str] = "filter"
    after: ClassVar[tuple[str, ...]] = ("annotate", "contamination")
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    rank: ClassVar[int] = 50
    holdings: ClassVar[tuple[Holding, ...]] = (Holding(glob=f"stages/{VERDICTS}", how="derived"),)

    def steps(self, plan: Plan) -> Sequence[str]:
        return (VERDICTS,)

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        parts = {**read_by_all(plan, partition, found), "decide": VERSION, "filters": plan.filters_in_fingerprints}
        _, finds = finds_of(plan, partition, found)
        return {**parts, "contamination": finds.names} if finds.names else parts

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        return one_task_each(
            plan,
            self,
            VERDICTS,
            missing[VERDICTS],
            lambda record: FilterPartition(
                partition=record,
                filters=plan.config.filters,
                outputs=plan.outputs(record),
                fingerprint=plan.fingerprints[VERDICTS, record.id],
                contamination=contaminated_at(plan, record),
            ),
        )

    def is_current(self, plan: Plan) -> bool:
        return not plan.missing(VERDICTS)

    def run(self, driver: Driver) -> int:
        """Run the filters where verdicts are missing; returns the number of outputs written.

        What shows gold or a block list is known before: whoever runs the filters of a root leaves it out.
        """
        driver.run(Contamination())
        return driver.record(driver.plan().lanes(self))

    def numbers(self, result: int) -> Mapping[str, int]:
        return {"outputs": result}

    def work(self, task: Task, worker: Worker) -> None:
        payload = task.payload
        assert isinstance(payload, FilterPartition), "a task of another stage"
        unjudged = PartitionOutputs(verdicts="", outputs=payload.outputs, producers={}, fingerprint="")
        view = load_view(worker.store, payload.partition, unjudged)
        filters: list[tuple[str, FilterOfTable]] = []
        if payload.contamination:
            filters += contaminated(worker.store, payload.partition, payload.contamination)
        filters += [(name, build_filter(name, config)) for name, config in payload.filters.items()]
        tables = decide(view.images, view.annotations, filters)
        worker.report(Span(step=VERDICTS, start=0, stop=len(view.images)), len(view.images))
        worker.commit(write_output(worker.store, VERDICTS, payload.partition, payload.fingerprint, tables))


def read_by_all(plan: Plan, partition: PartitionRecord, found: Found) -> dict[str, Any]:
    """What everything depends on that reads all of a partition: images, people's annotations, annotators' outputs."""
    outputs = {name: found[name, partition.id] for name in plan.graph.order}
    return {"partition": partition.fingerprint, "source": partition.annotations_fingerprint, "outputs": outputs}
