"""Exact duplicates, one hash-prefix bucket at a time."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.ingest.tables import MATCHES, DeduplicateResult
from fld_engine.engine.stages.ingest.tasks import DeduplicateBucket


def bucket_of(identity: str, num_buckets: int) -> int:
    return int(identity[:8], 16) % num_buckets


def deduplicate(store: Store, task: DeduplicateBucket) -> DeduplicateResult:
    """Decide for every scanned item of the bucket whether its bytes are new.

    The first occurrence in scan order is `new`, unless an earlier ingest has the bytes. Others are `duplicate`, or
    `known` where that place was seen before.
    """
    existing: dict[str, tuple[str, set[str]]] = {}
    for path in task.indexes:
        partition = path.rsplit("/", 1)[-1].split("-")[0]
        for row in _bucket(store.read_table(path, ["id", "uris"]), task).to_pylist():
            existing.setdefault(row["id"], (partition, set()))[1].update(row["uris"])
    rows = []
    for number, path in enumerate(task.scans):
        scanned = store.read_table(path, ["id", "uri"])
        table = scanned.append_column("row", pa.array(range(scanned.num_rows), pa.int32()))
        for row in _bucket(table, task).to_pylist():
            known = existing.get(row["id"])
            if known is None:
                existing[row["id"]] = ("", {row["uri"]})
                status, partition = "new", ""
            else:
                partition, uris = known
                status = "known" if row["uri"] in uris else "duplicate"
                uris.add(row["uri"])
            rows.append({"id": row["id"], "scan": number, "row": row["row"], "status": status, "partition": partition})
    file = store.write_table(task.out, pa.Table.from_pylist(rows, schema=MATCHES))
    return DeduplicateResult(file=file)


def _bucket(table: pa.Table, task: DeduplicateBucket) -> pa.Table:
    if task.num_buckets == 1:
        return table
    mine = [bucket_of(identity, task.num_buckets) == task.bucket for identity in table["id"].to_pylist()]
    return table.filter(pa.array(mine, pa.bool_()))


def with_status(matches: pa.Table, status: str, partition: str) -> pa.Table:
    """Matches of one status that belong to one earlier partition (empty: to this ingest)."""
    return matches.filter(pc.and_(pc.equal(matches["status"], status), pc.equal(matches["partition"], partition)))
