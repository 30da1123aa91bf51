"""The tar and the table of a shard, from its rows and what was answered: the same whatever came first."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tar import TarStream
from fld_engine.engine.data.tombstones import read_tombstones
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.sources.addresses.columns import Columns
from fld_engine.engine.sources.arrow_text import text_values
from fld_engine.engine.sources.captions import in_value
from fld_engine.engine.sources.fetched import REMOVED, STATS, FetchedTar, ShardRecord, shard_name
from fld_engine.engine.sources.files import read_located
from fld_engine.engine.sources.item import Locator
from fld_engine.engine.stages.fetch.tasks import PACKING, PackShard

SUCCESS, FAILED = "success", "failed_to_download"
LET_GO = "let_go"
"""Reason of a row whose address was fetched for another row, of a tar that is not there any more."""

OWN = pa.schema(
    [
        ("key", pa.string()),
        ("status", pa.string()),  # as img2dataset has it: success, failed_to_download
        ("error_message", pa.string()),
        ("reason", pa.string()),  # empty where it was fetched
        ("http_status", pa.int32()),  # 0 where nobody answered
        ("address", pa.string()),  # where redirects led, empty where there were none
        ("same_as", pa.string()),  # key of an earlier row with the same address, which alone was asked for
        ("sha256", pa.string()),
        ("num_bytes", pa.int64()),
        ("tar", pa.string()),
        ("member", pa.string()),
        ("offset", pa.int64()),
    ]
)
Row = dict[str, Any]


def key_of(shard: int, index: int, shard_rows: int) -> str:
    """As img2dataset names samples: five digits of the shard, at least four of the row in it."""
    return f"{shard_name(shard)}{index:0{max(4, len(str(shard_rows - 1)))}d}"


def pack(task: PackShard, worker: Worker) -> ShardRecord:
    """Write a shard. In a later round, rows that were asked again are replaced, and what came is a tar of its own."""
    store, folder, name, shard_rows = worker.store, task.folder, shard_name(task.shard), task.shard_rows
    listed = store.read_table(task.earlier or task.rows)
    if task.earlier:
        rows, columns = listed.select(OWN.names).to_pylist(), columns_in(listed)
        listed = listed.drop_columns(OWN.names)
    else:
        rows, columns = _blank(task.shard, listed.num_rows, shard_rows), _renamed(task.columns)
        listed = listed.rename_columns([column_name(one) for one in listed.column_names])
    tar_name = f"{name}.tar" if task.round == 1 else f"{name}-{task.round}.tar"
    answers = _answers(store, task)
    removed = read_tombstones(store)
    earlier = _Earlier(store, folder)
    path = f"{folder}/{tar_name}"
    captions = [in_value(list(cells)) for cells in zip(*(_texts(listed, c) for c in columns.captions), strict=True)]
    with ExitStack() as stack:
        logs = _Logs(store, stack)
        tar = stack.enter_context(TarStream(stack.enter_context(store.open_commit(path))))
        num_members = 0
        for index, answer in sorted(answers.items()):
            row = rows[index]
            data = _settle(row, answer, earlier, logs, shard_rows, removed)
            if data is None:
                continue
            row |= {"tar": tar_name, "member": f"{row['key']}.{answer['extension']}"}
            row["offset"] = tar.add(row["member"], data)
            num_members += 1
            texts = [one for one in captions[index] if isinstance(one, str) and one] if captions else []
            if texts:
                tar.add(f"{row['key']}.txt", texts[0].encode())
            said = {**{c: _plain(listed[c][index].as_py()) for c in listed.column_names}, **row}
            tar.add(f"{row['key']}.json", json.dumps(said, ensure_ascii=False, sort_keys=True).encode())
    worker.report(Span(step=PACKING, start=0, stop=1), 1)
    own = pa.Table.from_pylist(rows, schema=OWN)
    table = blanked(listed, [row["reason"] == REMOVED for row in rows])
    for column in OWN.names:
        table = table.append_column(OWN.field(column), own[column])
    said_of = {"columns": columns.model_dump_json()}
    store.write_table(f"{folder}/{name}.parquet", table.replace_schema_metadata(said_of))
    before: Sequence[FetchedTar] = ()
    if task.round > 1:
        before = store.read_model(f"{folder}/{name}{STATS}", ShardRecord).tars
    made = FetchedTar(
        name=tar_name, rows=num_members, num_bytes=tar.num_bytes, sha256=tar.sha256, file_bytes=tar.num_bytes
    )
    is_kept = bool(num_members) or task.round == 1
    if not is_kept:  # asking again brought nothing
        store.delete(path)
    tars = (*(one for one in before if one.name != tar_name), *([made] if is_kept else []))
    return record_of(rows, columns.captions, task.round, tars)


def record_of(rows: Sequence[Row], captions: Sequence[str], round_: int, tars: Sequence[FetchedTar]) -> ShardRecord:
    """The counts of a shard."""
    counts = Counter(row["reason"] or SUCCESS for row in rows)
    return ShardRecord(
        count=len(rows),
        successes=counts[SUCCESS],
        failed_to_download=len(rows) - counts[SUCCESS],
        status_dict=dict(sorted(counts.items())),
        round=round_,
        captions=tuple(captions),
        num_bytes=sum(row["num_bytes"] for row in rows),
        tars=tuple(tars),
    )


def _settle(
    row: Row, answer: Row, earlier: _Earlier, logs: _Logs, shard_rows: int, removed: frozenset[str] | set[str]
) -> bytes | None:
    """Say in a row what became of it, and its bytes, if there are any. `answer` learns the extension."""
    row["same_as"] = key_of(answer["of_shard"], answer["of_index"], shard_rows) if answer["of_shard"] >= 0 else ""
    data = None
    if answer["of_shard"] >= 0 and not answer["sha256"] and not answer["reason"]:
        found, data = earlier.of(answer["of_shard"], answer["of_index"])
        answer |= found
    if answer["sha256"][:32] in removed and answer["sha256"]:
        answer |= {"reason": REMOVED, "detail": "", "sha256": "", "num_bytes": 0, "address": ""}
    reason = answer["reason"]
    row |= {
        "status": FAILED if reason else SUCCESS,
        "reason": reason,
        "error_message": f"{reason}: {answer['detail']}" if reason and answer["detail"] else reason,
        "http_status": answer["http_status"],
        "address": answer["address"],
        "sha256": "" if reason else answer["sha256"],
        "num_bytes": 0 if reason else answer["num_bytes"],
    }
    if reason:
        return None
    return data if data is not None else logs.bytes_of(answer["log"], answer["offset"], answer["num_bytes"])


class _Earlier:
    """Rows of shards that are done, which were asked for an address first, and their bytes."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder
        self._tables: dict[int, pa.Table] = {}

    def of(self, shard: int, index: int) -> tuple[Row, bytes | None]:
        table = self._tables.setdefault(shard, self._store.read_table(f"{self._folder}/{shard_name(shard)}.parquet"))
        row = table.select(OWN.names).slice(index, 1).to_pylist()[0]
        found = {name: row[name] for name in ("reason", "http_status", "address", "sha256", "num_bytes")}
        found["detail"] = row["error_message"].partition(": ")[2]
        found["extension"] = row["member"].rpartition(".")[2]
        if row["reason"]:
            return found, None
        path = f"{self._folder}/{row['tar']}"
        if not self._store.exists(path):
            return {**found, "reason": LET_GO, "detail": "its tar was let go", "sha256": "", "num_bytes": 0}, None
        at = Locator(kind="tar", url=f"{self._store.url}/{path}", offset=row["offset"], length=row["num_bytes"])
        return found, next(read_located([at]))


class _Logs:
    """Bytes of answers, out of logs that stay open."""

    def __init__(self, store: Store, stack: ExitStack) -> None:
        self._store, self._stack = store, stack
        self._open: dict[str, IO[bytes]] = {}

    def bytes_of(self, log: str, offset: int, num_bytes: int) -> bytes:
        if log not in self._open:
            self._open[log] = self._stack.enter_context(self._store.open_read(log))
        self._open[log].seek(offset)
        return self._open[log].read(num_bytes)


def _answers(store: Store, task: PackShard) -> dict[int, Row]:
    """Answers of the shard by row."""
    found: dict[int, Row] = {}
    for path in task.answers:
        table = store.read_table(path, filters=[("shard", "=", task.shard)])
        found |= {row["index"]: row for row in table.to_pylist()}
    return found


def _blank(shard: int, num_rows: int, shard_rows: int) -> list[Row]:
    nothing = {"status": FAILED, "error_message": "", "reason": "", "http_status": 0, "address": "", "same_as": ""}
    nothing |= {"sha256": "", "num_bytes": 0, "tar": "", "member": "", "offset": 0}
    return [{"key": key_of(shard, index, shard_rows), **nothing} for index in range(num_rows)]


def columns_in(table: pa.Table) -> Columns:
    """Which columns of a shard's table are which."""
    return Columns.model_validate_json(table.schema.metadata[b"columns"])


def _renamed(columns: Columns) -> Columns:
    """Columns by their names in the table of a shard."""
    return Columns(
        uri=column_name(columns.uri),
        captions=tuple(column_name(name) for name in columns.captions),
        sha256=column_name(columns.sha256),
        md5=column_name(columns.md5),
    )


def blanked(listed: pa.Table, gone: Sequence[bool]) -> pa.Table:
    """Columns of a list without what they say in some rows."""
    if not any(gone):
        return listed
    mask = pa.array(gone, pa.bool_())
    for number, field in enumerate(listed.schema):
        column = pc.if_else(mask, pa.scalar(None, field.type), listed[field.name])
        listed = listed.set_column(number, field, column)
    return listed


def _texts(table: pa.Table, name: str) -> Sequence[Any]:
    return text_values(table[name].combine_chunks()) if name in table.column_names else [None] * table.num_rows


def _plain(value: Any) -> Any:
    """A value of a list as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime.date | datetime.time | datetime.timedelta):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and value != value:
        return None
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def column_name(name: str) -> str:
    """What a column of a list is called in the table of a shard."""
    return f"listed_{name}" if name in OWN.names else name
