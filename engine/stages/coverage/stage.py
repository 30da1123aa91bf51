"""Stage `coverage`: the counts of every partition, and those of the root."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.records import OutputRecord, PartitionOutputs, PartitionRecord, record_path
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Found, Plan, one_task_each
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Lane, Span, Task
from fld_engine.engine.stages.coverage import aggregates
from fld_engine.engine.stages.coverage.aggregates import Aggregate
from fld_engine.engine.stages.coverage.report import FOLDER, write_coverage
from fld_engine.engine.stages.filter.stage import VERDICTS, read_by_all
from fld_engine.schemas.annotations import Frozen

COVERAGE = "coverage"
"""The one step of the stage, and its folder."""


class CoverPartition(Frozen):
    """Aggregate the coverage of a partition."""

    partition: PartitionRecord
    reads: PartitionOutputs


class CoverageStatus(Frozen):
    """Annotations by verdict target; empty until all of them are judged and counted. Dropped ones by reason."""

    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]


class Coverage:
    name: ClassVar[str] = "coverage"
    after: ClassVar[tuple[str, ...]] = ("filter",)
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = True
    rank: ClassVar[int] = 50
    holdings: ClassVar[tuple[Holding, ...]] = (
        Holding(glob=f"stages/{COVERAGE}", how="derived"),
        Holding(glob=FOLDER, how="whole"),
    )

    def steps(self, plan: Plan) -> Sequence[str]:
        return (COVERAGE,)

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        verdicts = found[VERDICTS, partition.id]
        return {**read_by_all(plan, partition, found), "verdicts": verdicts, "version": aggregates.VERSION}

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        return one_task_each(
            plan,
            self,
            COVERAGE,
            missing[COVERAGE],
            lambda record: CoverPartition(partition=record, reads=committed(plan, record)),
        )

    def is_current(self, plan: Plan) -> bool:
        return not plan.missing(COVERAGE)

    def run(self, driver: Driver) -> Aggregate:
        """Aggregate the coverage of each partition, add them up, and write the tables of the root."""
        driver.record(driver.plan().lanes(self))
        plan = driver.plan()
        counts = read_coverage(plan)
        write_coverage(driver.store, counts, plan.folder)
        return counts

    def numbers(self, result: Aggregate) -> Mapping[str, int]:
        return {"images": result.images}

    def work(self, task: Task, worker: Worker) -> None:
        payload = task.payload
        assert isinstance(payload, CoverPartition), "a task of another stage"
        partition, identity = payload.partition.id, payload.reads.fingerprint
        view = load_view(worker.store, payload.partition, payload.reads)
        path = f"stages/{COVERAGE}/{partition}-{identity}.{uuid.uuid4().hex[:8]}.aggregate.json"
        file = worker.store.write_bytes(path, aggregates.to_bytes(aggregates.aggregate(view)))
        num_images = len(view.images)
        worker.report(Span(step=COVERAGE, start=0, stop=num_images), num_images)
        worker.commit(
            OutputRecord(
                step=COVERAGE, partition=partition, fingerprint=identity, files={"aggregate": file}, done=num_images
            )
        )

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> CoverageStatus:
        if not plan.partitions or plan.missing(COVERAGE):
            return CoverageStatus(kept={}, dropped={})
        counts = read_coverage(plan)
        return CoverageStatus(kept=dict(counts.kept), dropped={t: dict(r) for t, r in counts.dropped.items()})


def committed(plan: Plan, record: PartitionRecord) -> PartitionOutputs:
    """Where to find everything committed about a partition."""
    return PartitionOutputs(
        verdicts=plan.fingerprints[VERDICTS, record.id],
        outputs=plan.outputs(record),
        producers=plan.producers,
        fingerprint=plan.fingerprints[COVERAGE, record.id],
        specialists=tuple(sorted({*plan.annotators, *plan.earlier})),
    )


def read_coverage(plan: Plan) -> Aggregate:
    """The sum of the aggregates of all partitions."""

    def of_partitions() -> Iterator[Aggregate]:
        for record in plan.partitions:
            path = record_path(COVERAGE, record.id, plan.fingerprints[COVERAGE, record.id])
            output = plan.store.read_model(path, OutputRecord)
            yield aggregates.from_bytes(plan.store.read_bytes(output.files["aggregate"].path))

    return aggregates.merge(of_partitions())
