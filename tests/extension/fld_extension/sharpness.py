"""A stage: how sharp every image is, one table a partition."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.partition import PartitionImages, read_output, write_output
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Found, Plan, one_task_each
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import Lane, Span, Task
from fld_engine.schemas.annotations import Frozen

STEP = "sharpness"
VERSION = 1


class MeasurePartition(Frozen):
    """Measure the images of a partition."""

    partition: PartitionRecord
    images: ImageLimits
    fingerprint: str


class SharpnessStatus(Frozen):
    measured: int


class Sharpness:
    """Its output depends on the pixels alone, and is made again without an image that is removed."""

    name: ClassVar[str] = STEP
    after: ClassVar[tuple[str, ...]] = ("ingest",)
    every_run: ClassVar[bool] = True
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 50
    holdings: ClassVar[tuple[Holding, ...]] = (Holding(glob=f"stages/{STEP}", how="derived"),)

    def steps(self, plan: Plan) -> Sequence[str]:
        return (STEP,)

    def identity(self, plan: Plan, step: str, partition: PartitionRecord, found: Found) -> Mapping[str, Any]:
        return {"partition": partition.fingerprint, "version": VERSION}

    def lanes(self, plan: Plan, missing: Mapping[str, Collection[str]]) -> list[Lane]:
        return one_task_each(
            plan,
            self,
            STEP,
            missing[STEP],
            lambda record: MeasurePartition(
                partition=record, images=plan.config.images, fingerprint=plan.fingerprints[STEP, record.id]
            ),
        )

    def is_current(self, plan: Plan) -> bool:
        return not plan.missing(STEP)

    def run(self, driver: Driver) -> int:
        return driver.record(driver.plan().lanes(self))

    def numbers(self, result: int) -> Mapping[str, int]:
        return {"outputs": result}

    def work(self, task: Task, worker: Worker) -> None:
        payload = task.payload
        assert isinstance(payload, MeasurePartition), "a task of another stage"
        images = PartitionImages(worker.store, payload.partition, payload.images)
        rows = []
        for index in range(len(images)):
            worker.report(Span(step=STEP, start=index, stop=index + 1), 1)
            grey = images.pixels(index).astype(np.float64).mean(axis=2)
            rows.append({"image_id": images.identity(index)[0], "value": float(np.abs(np.diff(grey)).mean())})
        table = pa.Table.from_pylist(rows, schema=pa.schema([("image_id", pa.string()), ("value", pa.float64())]))
        worker.commit(write_output(worker.store, STEP, payload.partition, payload.fingerprint, {STEP: table}))

    def status(self, plan: Plan, journal: Sequence[IngestRecord]) -> SharpnessStatus:
        missing = {record.id for record in plan.missing(STEP)}
        there = [record for record in plan.partitions if record.id not in missing]
        outputs = [read_output(plan.store, STEP, r.id, plan.fingerprints[STEP, r.id]) for r in there]
        return SharpnessStatus(measured=sum(output.files[STEP].rows for output in outputs))
