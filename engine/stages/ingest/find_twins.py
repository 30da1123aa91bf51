"""Near-twins of an ingest: what the driver hands out, and what a worker reads and writes for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.stages.ingest.exchange import Files, Memory
from fld_engine.engine.stages.ingest.tables import ScanResult, TwinResult
from fld_engine.engine.stages.ingest.tasks import GroupTwins, TwinInput
from fld_engine.engine.stages.ingest.twin_steps import EARLIER, NEW, Steps, group, numbers_of

ROWS_PER_BUCKET = 2_000_000
"""Images that one part of a step holds."""
BYTES_PER_ROW = 600
"""What a part was measured to need for each, beside what a worker needs anyway."""


def find_twins(
    driver: Driver,
    folder: str,
    results: Sequence[ScanResult],
    matches: Sequence[str],
    earlier: Sequence[PartitionRecord],
) -> str:
    """Group the new images of an ingest, in the runners; returns the folder with a table of each scan that has any.

    A single part does it all where all images are few enough.
    """
    scans = [(result.files["scan"].path, result.files["scan"].rows) for result in results]
    images = [(record.files["images"].path, record.num_images) for record in earlier]
    runs = list(_runs(scans))
    inputs = [TwinInput(first=start, scans=tuple(path for path, _ in scans[start:stop])) for start, stop in runs]
    inputs += [TwinInput(images=tuple(path for path, _ in images[start:stop])) for start, stop in _runs(images)]
    num_rows = sum(rows for _, rows in (*scans, *images))
    num_buckets = 1 + num_rows // ROWS_PER_BUCKET
    identity = fingerprint({"inputs": [one.model_dump(mode="json") for one in inputs], "rows": ROWS_PER_BUCKET})
    common = GroupTwins(
        num_buckets=num_buckets,
        runs=tuple(start for start, _ in runs),
        folder=f"{folder}/twins-{identity}",
        matches=tuple(matches),
    )
    megabytes = 500 + min(num_rows, ROWS_PER_BUCKET) * BYTES_PER_ROW // 2**20

    def run(step: str, round_: int, num_parts: int) -> int:
        tasks = []
        for part in range(num_parts):
            mine = tuple(inputs) if step == "all" else (inputs[part],) if step in ("gather", "finish") else ()
            payload = common.model_copy(update={"step": step, "round_": round_, "part": part, "inputs": mine})
            label = "twins" if step == "all" else f"twins {step} {part}"
            tasks.append(Task(stage="ingest", root=driver.store.url, label=label, payload=payload))
        lane = Lane(name="twins", resources=Resources(cpus=1.0, memory_mb=megabytes), tasks=tasks)
        return sum(result.unsettled for _, result in driver.answers(lane, TwinResult))

    if num_buckets == 1:
        run("all", 0, 1)
    else:
        run("gather", 0, len(inputs))
        group(run, num_buckets)
        run("finish", 0, len(runs))
    return common.folder


def group_twins(store: Store, task: GroupTwins) -> TwinResult:
    """Do one part of a step, or all of them."""
    exchange = Memory() if task.step == "all" else Files(store, task.folder)
    steps = Steps(exchange, task.num_buckets, task.runs)
    match task.step:
        case "all":
            for part, images in enumerate(task.inputs):
                _gather(store, task, images, steps, part)
            group(steps.run, task.num_buckets)
            for part in range(len(task.runs)):
                _finish(store, task, steps, part)
        case "gather":
            _gather(store, task, task.inputs[0], steps, task.part)
        case "finish":
            _finish(store, task, steps, task.part)
        case step:
            return TwinResult(unsettled=steps.do(step, task.round_, task.part))
    return TwinResult(unsettled=0)


def twins_of(store: Store, folder: str, scan: int, rows: Sequence[int]) -> list[str]:
    """The groups of some new images of a scan."""
    table = store.read_table(_table_path(folder, scan), ["row", "group"])
    at = np.searchsorted(table["row"].to_numpy(), np.array(rows))
    found = table.take(pa.array(at))
    assert found["row"].to_pylist() == list(rows), f"{folder} lacks rows of scan {scan}"
    groups: list[str] = found["group"].to_pylist()
    return groups


def _runs(files: Sequence[tuple[str, int]]) -> Iterator[tuple[int, int]]:
    """[start, stop) of runs of files with about as many rows as a bucket."""
    after = np.cumsum([rows for _, rows in files])
    starts = np.flatnonzero(np.diff(after // ROWS_PER_BUCKET, prepend=-1)).tolist()
    return pairwise([*starts, len(files)])


def _gather(store: Store, task: GroupTwins, images: TwinInput, steps: Steps, part: int) -> None:
    """Read the new images of a run of scans, or all of a run of earlier partitions."""
    if images.scans:
        steps.add_new(part, _new_images(store, task, images))
    if images.images:
        steps.add_earlier(part, _earlier_images(store, images))


def _new_images(store: Store, task: GroupTwins, images: TwinInput) -> pa.Table:
    stop = images.first + len(images.scans)
    new = [("status", "=", "new"), ("scan", ">=", images.first), ("scan", "<", stop)]
    found = pa.concat_tables([store.read_table(path, ["scan", "row"], filters=new) for path in task.matches])
    found = found.sort_by([("scan", "ascending"), ("row", "ascending")])
    scans, rows = found["scan"].to_numpy(), found["row"].to_numpy()
    tables = [NEW.empty_table()]
    for scan, path in enumerate(images.scans, images.first):
        start, end = np.searchsorted(scans, [scan, scan + 1])
        if start < end:
            table = store.read_table(path, ["id", "phash"]).take(pa.array(rows[start:end]))
            columns = [numbers_of(table["phash"]), table["id"], scans[start:end], rows[start:end]]
            tables.append(pa.table(columns, schema=NEW))
    return pa.concat_tables(tables)


def _earlier_images(store: Store, images: TwinInput) -> pa.Table:
    tables = [EARLIER.empty_table()]
    for path in images.images:
        table = store.read_table(path, ["id", "phash", "twin_group"])
        groups = [
            group or id for id, group in zip(table["id"].to_pylist(), table["twin_group"].to_pylist(), strict=True)
        ]
        tables.append(pa.table([numbers_of(table["phash"]), table["id"], groups], schema=EARLIER))
    return pa.concat_tables(tables)


def _finish(store: Store, task: GroupTwins, steps: Steps, part: int) -> None:
    """Write a table for each scan of a run that has new images."""
    twins = steps.twins(part)
    scans = twins["scan"].to_numpy()
    for scan in np.unique(scans).tolist():
        start, end = np.searchsorted(scans, [scan, scan + 1])
        store.write_table(_table_path(task.folder, scan), twins.slice(start, end - start).select(["row", "group"]))


def _table_path(folder: str, scan: int) -> str:
    return f"{folder}/scan-{scan:06d}.parquet"
