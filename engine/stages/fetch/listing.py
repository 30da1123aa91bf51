"""Rows of a list, shard by shard, and what of them is to be asked."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.sources.addresses.columns import Columns, columns_of
from fld_engine.engine.sources.addresses.lists import ListLayout, layout_of
from fld_engine.engine.sources.addresses.rows import tables
from fld_engine.engine.sources.arrow_text import text_values
from fld_engine.engine.sources.fetched import shard_name
from fld_engine.engine.stages.fetch.answer import MAY_PASS, host_of, same_address
from fld_engine.engine.stages.fetch.tasks import LISTING, Asks, ListAgain, Listed, ListRows
from fld_engine.schemas.errors import SourceError

ASKS = pa.schema(
    [
        ("index", pa.int32()),  # of the row in its shard
        ("url", pa.string()),
        ("url_hash", pa.binary(16)),
        ("host_hash", pa.uint32()),
        ("sha256", pa.string()),  # what it must have, in lower case; empty where the list does not say
        ("md5", pa.string()),
    ]
)


def list_rows(task: ListRows, worker: Worker) -> Listed:
    """Cut one file. Raises `SourceError` where it is no list, or has no column of addresses."""
    layout = layout_of(task.spec) or ListLayout()
    form, packed = layout.form_of(task.path or task.base)
    if form is None:
        raise SourceError(f"list {task.path or task.base} is of no form that is known by its name; set kind")
    url = f"{task.base}/{task.path}" if task.path else task.base
    names = Asks(folder=task.folder, key=task.key)
    number = rows = 0
    columns: Columns | None = None
    for table in tables(url, task.num_bytes, form, packed, names=layout.names, num_rows=task.shard_rows):
        columns = columns or columns_of(table.column_names, task.spec, task.fetch)
        asks = _asks(table, columns, range(table.num_rows))
        worker.store.write_table(names.rows(number), table)
        worker.store.write_table(names.asks(number), asks)
        number, rows = number + 1, rows + table.num_rows
        worker.report(Span(step=LISTING, start=rows - table.num_rows, stop=rows), table.num_rows)
    if columns is not None:
        worker.store.write_model(names.columns, columns)
    return Listed(path=task.path, rows=rows, num_shards=number)


def list_again(store: Store, task: ListAgain) -> Listed:
    """Rows of a shard whose answers may be others now."""
    table = store.read_table(f"{task.folder}/{shard_name(task.shard)}.parquet")
    columns = Columns.model_validate_json(table.schema.metadata[b"columns"])  # as `pack` left them
    wanted = [n for n, reason in enumerate(table["reason"].to_pylist()) if reason and MAY_PASS.fullmatch(reason)]
    store.write_table(task.asks, _asks(table.take(pa.array(wanted, pa.int64())), columns, wanted))
    return Listed(path="", rows=len(wanted), num_shards=1)


def _asks(table: pa.Table, columns: Columns, indexes: Iterable[int]) -> pa.Table:
    urls = [value.strip() if isinstance(value, str) else "" for value in _texts(table, columns.uri)]
    hosts = [host_of(url) for url in urls]
    return pa.table(
        {
            "index": pa.array(indexes, pa.int32()),
            "url": pa.array(urls, pa.string()),
            "url_hash": pa.array([_url_hash(url) for url in urls], pa.binary(16)),
            "host_hash": pa.array([zlib.crc32(host.encode()) for host in hosts], pa.uint32()),
            "sha256": pa.array(_digests(table, columns.sha256), pa.string()),
            "md5": pa.array(_digests(table, columns.md5), pa.string()),
        },
        schema=ASKS,
    )


def _url_hash(url: str) -> bytes:
    return hashlib.blake2b(same_address(url).encode(), digest_size=16).digest()


def _texts(table: pa.Table, name: str) -> Sequence[Any]:
    if name not in table.column_names:  # of JSON lines, a shard may lack what others have
        return [None] * table.num_rows
    return text_values(table[name].combine_chunks()) if table.num_rows else []


def _digests(table: pa.Table, name: str) -> list[str]:
    """Hashes as hex digits in lower case, whether they were stored as text or as bytes."""
    if not name or name not in table.column_names:
        return [""] * table.num_rows
    if pa.types.is_binary(table.schema.field(name).type) or pa.types.is_fixed_size_binary(
        table.schema.field(name).type
    ):
        return [(cell or b"").hex() for cell in table[name].to_pylist()]
    return [value.strip().lower() if isinstance(value, str) else "" for value in _texts(table, name)]
