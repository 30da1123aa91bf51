"""Rows of a list of addresses, in the order of the file, as tables of at most so many rows."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import itertools
import json
import lzma
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.sources.files import open_random, open_streamed
from fld_engine.schemas.errors import SourceError

Form = Literal["parquet", "tsv", "csv", "json", "text"]
FORMS: Mapping[str, Form] = {
    "parquet": "parquet", "tsv": "tsv", "tab": "tsv", "csv": "csv", "json": "json", "jsonl": "json", "ndjson": "json",
    "txt": "text", "text": "text", "lst": "text",
}  # fmt: skip
"""Extension of a list → how it is read."""
PACKED: Mapping[str, Callable[[IO[bytes]], Any]] = {
    "gz": lambda stream: gzip.GzipFile(fileobj=stream),
    "bz2": bz2.BZ2File,
    "xz": lzma.LZMAFile,
}
"""Extensions of lists that are decompressed while they are read."""
WEB = re.compile(r"\s*https?://", re.IGNORECASE)
MAX_CELL_CHARS = 2**20

Row = dict[str, Any]


def form_of(path: str) -> tuple[Form | None, str]:
    """How a file is read by its name, and how it is packed; neither where it is no list."""
    *_, before, last = ["", "", *path.rpartition("/")[2].lower().split(".")]
    return (FORMS.get(before), last) if last in PACKED else (FORMS.get(last), "")


def tables(
    url: str,
    num_bytes: int | None,
    form: Form,
    packed: str,
    *,
    names: Sequence[str],
    num_rows: int,
    had: Callable[[int], None] | None = None,
) -> Iterator[pa.Table]:
    """The rows of a list in tables of `num_rows`, the last of fewer; text, but in Parquet what it holds.

    `names` are those of the columns of a TSV without a header; without them, the first row is a header unless it has an
    address itself. `had` is told, before each table of text, how many bytes of the file were read.

    Raises `SourceError` for a file that is none of its kind, `TransportError`.
    """
    try:
        if form == "parquet":
            yield from _of_parquet(url, num_bytes, num_rows)
            return
        with open_streamed(url, num_bytes) as stream:
            unpacked = PACKED[packed](stream) if packed else stream
            for table in _cut(_of_text(unpacked, form, names), num_rows):
                if had is not None:
                    had(stream.tell())
                yield table
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, pa.ArrowException, ValueError, csv.Error) as error:
        raise SourceError(f"list {url} cannot be read as {form}: {error}; mend it, or state its kind") from error


def _of_parquet(url: str, num_bytes: int | None, num_rows: int) -> Iterator[pa.Table]:
    """Row groups of any size, cut anew; no more than two batches are held."""
    with open_random(url, num_bytes) as stream, pq.ParquetFile(stream) as file:
        held: list[pa.RecordBatch] = []
        count = 0
        for batch in file.iter_batches(num_rows):
            while batch.num_rows:
                part = batch.slice(0, num_rows - count)
                batch = batch.slice(part.num_rows)
                held.append(part)
                count += part.num_rows
                if count == num_rows:
                    yield pa.Table.from_batches(held)
                    held, count = [], 0
        if held:
            yield pa.Table.from_batches(held)


def _of_text(stream: IO[bytes], form: Form, names: Sequence[str]) -> Iterator[Row]:
    newline = "" if form == "csv" else "\n"  # a lone carriage return is part of a caption
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline=newline)
    if form == "json":
        yield from _of_json(text)
    elif form == "text":
        yield from ({"url": line.strip()} for line in text if line.strip())
    else:
        csv.field_size_limit(MAX_CELL_CHARS)
        cells = csv.reader(text) if form == "csv" else (line.rstrip("\r\n").split("\t") for line in text)
        yield from _named((row for row in cells if any(row)), names)


def _named(rows: Iterator[list[str]], names: Sequence[str]) -> Iterator[Row]:
    """Rows under the names of their columns; cells that have none are `column_4` and so on."""
    first = next(rows, None)
    if first is None:
        return
    if not names and any(WEB.match(cell) for cell in first):
        at = next(number for number, cell in enumerate(first) if WEB.match(cell))
        others = ["caption"] if len(first) == 2 else [f"column_{n + 1}" for n in range(len(first)) if n != at]
        names = [*others[:at], "url", *others[at:]]
        rows = itertools.chain([first], rows)
    elif names:
        rows = itertools.chain([first], rows)
    else:
        names = [name.strip() for name in first]
    for row in rows:
        known = dict(zip(names, row, strict=False))
        yield known | {f"column_{n + 1}": cell for n, cell in enumerate(row) if n >= len(names)}


def _of_json(text: IO[str]) -> Iterator[Row]:
    """Objects of a list or of lines; what is no text in them is kept as JSON."""
    lines = iter(text)
    first = next((line for line in lines if line.strip()), "")
    values: Iterable[Any]
    if first.lstrip().startswith("["):
        values = json.loads(first + "".join(lines))
    else:
        values = (json.loads(line) for line in itertools.chain([first], lines) if line.strip())
    for value in values:
        row = value if isinstance(value, dict) else {"url": value}
        yield {
            name: cell if cell is None or isinstance(cell, str) else json.dumps(cell, ensure_ascii=False)
            for name, cell in row.items()
        }


def _cut(rows: Iterator[Row], num_rows: int) -> Iterator[pa.Table]:
    while part := list(itertools.islice(rows, num_rows)):
        names = list(dict.fromkeys(name for row in part for name in row))
        yield pa.table({name: pa.array([_storable(row.get(name)) for row in part], pa.string()) for name in names})


def _storable(cell: str | None) -> str | None:
    """Text that UTF-8 can hold: a lone surrogate of a JSON escape cannot be stored."""
    return None if cell is None else cell.encode("utf-8", "replace").decode("utf-8")
