"""The worker's side of lists: their pictures as views, or the hashes that they are made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import image_id, sha256_hex
from fld_engine.engine.data.images import decode
from fld_engine.engine.plan.exclude import ExcludeList
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.sources.item import Rejected, extension
from fld_engine.engine.sources.open import read_chunk
from fld_engine.engine.stages.contamination.lists import hash_column_of, open_table, read_file
from fld_engine.engine.stages.contamination.tables import READING, REFERENCES, ListResult, ReadList
from fld_engine.engine.stages.contamination.views import Views, views_of
from fld_engine.schemas.errors import SourceError, UnreadableImage

Row = dict[str, Any]
_HASH = re.compile(r"[0-9a-f]{64}|[0-9a-f]{32}|[0-9a-f]{16}")
_PHASH_CHARS = 16


def read_list(task: ReadList, worker: Worker) -> ListResult:
    """Read a part of a list. Raises `SourceError` for a line or a cell that is no hash."""
    unread: Counter[str] = Counter()
    part = task.part
    rows = list(_hashes(part.hashes) if part.hashes is not None else _pictures(task, worker, unread))
    table = pa.Table.from_pylist([{"list": part.name, **row} for row in rows], schema=REFERENCES)
    return ListResult(file=worker.store.write_table(f"{task.out}.parquet", table), unread=dict(sorted(unread.items())))


def packed(views: Views) -> dict[str, bytes | None]:
    """Columns `whole` and `trimmed` of views."""
    return {"whole": views.whole.to_bytes(), "trimmed": views.trimmed.to_bytes() if views.trimmed is not None else None}


def _pictures(task: ReadList, worker: Worker, unread: Counter[str]) -> Iterator[Row]:
    assert task.part.chunk is not None, "a part has pictures or hashes"
    condemned = {span.start: reason for span, reason in worker.isolation.condemned}
    for unit, found in enumerate(read_chunk(task.part.chunk, task.images.max_bytes)):
        if isinstance(found, Rejected):
            unread[found.reason] += found.what == "image"
            continue
        item, data = found
        if unit in condemned:
            unread[condemned[unit]] += 1
            continue
        worker.report(Span(step=READING, start=unit, stop=unit + 1), 1)
        try:
            views = views_of(decode(data, task.images).pixels)
        except UnreadableImage as error:
            unread[error.reason] += 1
            continue
        yield {"entry": item.uri, "id": image_id(sha256_hex(data)), "phash": "", **packed(views)}


def _hashes(one: ExcludeList) -> Iterator[Row]:
    for where, given in _lines(one) if extension(one.url) != "parquet" else _cells(one):
        text = given.lower().removeprefix("sha256:")
        if not _HASH.fullmatch(text):
            raise SourceError(
                f"exclude list {one.name}: {where} of {one.url} is {given[:80]!r}; expected a sha256 (64 hex digits), "
                "the id of an image (32) or its perceptual hash (16)"
            )
        is_phash = len(text) == _PHASH_CHARS
        yield {"entry": text, "id": "" if is_phash else image_id(text), "phash": text if is_phash else ""}


def _lines(one: ExcludeList) -> Iterator[tuple[str, str]]:
    """The first word of each line, as `sha256sum` writes them; empty lines and comments are passed over."""
    for number, line in enumerate(read_file(one.url).decode("utf-8", "replace").splitlines(), start=1):
        words = re.split(r"[\s,;]+", line.strip(), maxsplit=1)
        if words[0] and not words[0].startswith("#"):
            yield f"line {number}", words[0]


def _cells(one: ExcludeList) -> Iterator[tuple[str, str]]:
    column = one.hash_column or hash_column_of(one.url)
    file = open_table(one.url)
    if column not in file.schema_arrow.names:
        raise SourceError(
            f"exclude list {one.name}: {one.url} has no column {column or 'of hashes'!r}; set hash_column to one "
            f"of {', '.join(file.schema_arrow.names)}"
        )
    cells = file.read([column])[column].to_pylist()
    for number, cell in enumerate(cells):
        if cell is not None:
            yield f"row {number}", _as_hex(cell)


def _as_hex(cell: Any) -> str:
    if isinstance(cell, bytes):
        return cell.hex()
    return f"{cell % 2**64:016x}" if isinstance(cell, int) else str(cell)
