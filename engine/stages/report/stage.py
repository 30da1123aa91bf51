"""Stage `report`: aggregates of every partition, their merge, the gallery, and comparisons with other roots."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from fld_engine.engine.data.partition import load_view, write_output
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Found, Plan, one_task_each
from fld_engine.engine.plan.protocols import KeepsLow
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Lane, Span, Task
from fld_engine.engine.stages.coverage.aggregates import Aggregate
from fld_engine.engine.stages.coverage.stage import committed, read_coverage
from fld_engine.engine.stages.filter.stage import VERDICTS, read_by_all
from fld_engine.engine.stages.report.aggregate import report_tables
from fld_engine.engine.stages.report.compare import compare
from fld_engine.engine.stages.report.gallery import write_gallery
from fld_engine.engine.stages.report.merge import FOLDER, STAGE, Merged, gallery_root, merge_root
from fld_engine.engine.stages.report.reduce import gather, reduce_terms
from fld_engine.engine.stages.report.tables import VERSION
from fld_engine.engine.stages.report.tasks import ComparePartition, DrawGallery, Gather, Reduce, ReportPartition
from fld_engine.engine.stages.report.wordlist import terms_of
from fld_engine.schemas.annotations import Frozen


@dataclass(frozen=True, slots=True)
class RootReport:
    """What pages and tables of a report are made from."""

    plan: Plan
    merged: Merged
    coverage: Aggregate
    gallery: list[dict[str, Any]]


class Report:
    """Counts the `wanted` classes exactly, and draws `num_images` images of a gallery."""

    name: ClassVar[str] = STAGE
    after: ClassVar[tuple[str, ...]] = ("coverage",)
    every_run: ClassVar[bool] = False
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 50
    holdings: ClassVar[tuple[Holding, ...]] = (
        Holding(glob=f"stages/{STAGE}", how="derived"),
        Holding(glob=FOLDER, how="whole"),
        Holding(glob="report", how="whole"),
        Holding(glob="gallery", how="by_image"),
    )

    def __init__(self, wanted: Sequence[str] = (), num_images: int = 0) -> None:
        self.wanted, self.num_images = wanted, num_images

    def steps(self, plan: Plan) -> Sequence[str]:
        return (STAGE,)

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        verdicts = found[VERDICTS, partition.id]
        known = read_by_all(plan, partition, found)
        return {**known, "verdicts": verdicts, "report": VERSION, "derived": plan.derived}

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        keeps_low = tuple(
            name for name, judge in plan.filters.items() if isinstance(judge, KeepsLow) and judge.keeps_low
        )
        return one_task_each(
            plan,
            self,
            STAGE,
            missing[STAGE],
            lambda record: ReportPartition(
                partition=record,
                reads=committed(plan, record),
                derived=plan.derived,
                keeps_low=keeps_low,
                fingerprint=plan.fingerprints[STAGE, record.id],
            ),
        )

    def is_current(self, plan: Plan) -> bool:
        return not plan.missing(STAGE)

    def run(self, driver: Driver) -> RootReport:
        """Aggregate each partition, merge, and draw the gallery; the coverage of the partitions must be there."""
        driver.record(driver.plan().lanes(self))
        plan = driver.plan()
        merged = merge_root(plan, terms_of(self.wanted), driver)
        gallery = gallery_root(plan, merged, self.num_images, driver) if self.num_images else []
        return RootReport(plan=plan, merged=merged, coverage=read_coverage(plan), gallery=gallery)

    def numbers(self, result: RootReport) -> Mapping[str, int]:
        return {"images": len(result.gallery)}

    def work(self, task: Task, worker: Worker) -> Frozen | None:
        match task.payload:
            case ReportPartition() as payload:
                _aggregate(payload, worker)
                return None
            case Gather() as payload:
                return gather(worker.store, payload)
            case Reduce() as payload:
                return reduce_terms(worker.store, payload)
            case DrawGallery() as payload:
                return write_gallery(worker.store, payload)
            case ComparePartition() as payload:
                return compare(worker.store, payload)
        raise TypeError(f"stage {STAGE} has no task for {type(task.payload).__name__}")


def _aggregate(payload: ReportPartition, worker: Worker) -> None:
    view = load_view(worker.store, payload.partition, payload.reads)
    tables = report_tables(view, frozenset(payload.derived), payload.keeps_low)
    worker.report(Span(step=STAGE, start=0, stop=len(view.images)), len(view.images))
    worker.commit(write_output(worker.store, STAGE, payload.partition, payload.fingerprint, tables))
