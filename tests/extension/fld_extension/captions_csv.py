"""An exporter: kept texts as one CSV file."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import ClassVar

from fld_engine.engine.data.kept_rows import exported
from fld_engine.engine.data.partition import load_view
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.stages import Driver, Worker
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.schemas.annotations import Frozen

FOLDER = "captions-csv"


class ReadPartition(Frozen):
    """Read the texts of a partition."""

    partition: PartitionRecord
    reads: PartitionOutputs


class Texts(Frozen):
    """(image id, text) of what is kept."""

    rows: tuple[tuple[str, str], ...]


class CaptionsCsv:
    """Writes `captions-csv/captions.csv`, partitions in order; `separator` stands between its columns."""

    class Params(Frozen):
        separator: str = ","

    name: ClassVar[str] = FOLDER
    after: ClassVar[tuple[str, ...]] = ("coverage",)
    every_run: ClassVar[bool] = False
    restores: ClassVar[bool] = False
    rank: ClassVar[int] = 40
    holdings: ClassVar[tuple[Holding, ...]] = (Holding(glob=FOLDER, how="whole"),)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def is_current(self, plan: Plan) -> bool:
        return False  # a small file: it is written again whenever a run gets here

    def run(self, driver: Driver) -> int:
        plan = driver.plan()
        tasks = [
            Task(
                stage=self.name,
                root=plan.store.url,
                label=record.id,
                payload=ReadPartition(partition=record, reads=committed(plan, record)),
            )
            for record in plan.partitions
        ]
        lane = Lane(name=self.name, resources=ARITHMETIC, tasks=tasks)
        found = {task.label: texts.rows for task, texts in driver.answers(lane, Texts)}
        rows = [row for record in plan.partitions for row in found[record.id]]
        lines = io.StringIO()
        writer = csv.writer(lines, delimiter=self.params.separator, lineterminator="\n")
        writer.writerows([("image", "caption"), *rows])
        plan.store.write_bytes(f"{self.folder(plan)}/captions.csv", lines.getvalue().encode())
        return len(rows)

    def numbers(self, result: int) -> Mapping[str, int]:
        return {"captions": result}

    def folder(self, plan: Plan) -> str:
        return plan.folder + FOLDER

    def work(self, task: Task, worker: Worker) -> Texts:
        assert isinstance(task.payload, ReadPartition), "a task of another stage"
        texts = exported(load_view(worker.store, task.payload.partition, task.payload.reads))["texts"]
        columns = (texts["image_id"].to_pylist(), texts["text"].to_pylist())
        return Texts(rows=tuple(zip(*columns, strict=True)))
