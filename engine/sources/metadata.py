"""Metadata of a folder of images as Hugging Face's image folders have it: a row an image, named by `file_name`.

https://huggingface.co/docs/datasets/image_dataset#imagefolder: `metadata.jsonl`, `metadata.csv` or `metadata.parquet`;
names are relative to its folder, and an image belongs to the nearest one above it.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.sources.arrow_text import is_bytes
from fld_engine.engine.sources.captions import decoded
from fld_engine.engine.sources.class_labels import Classes, names_in_schema
from fld_engine.engine.sources.files import read_whole

METADATA_NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
NAME_KEYS = ("file_name", "image_file_name", "filename", "image_path", "image")
"""Names under which a row names its image, first match first; `file_name` is Hugging Face's."""

Record = Mapping[str, Any]

_NULLS = ("", "nan", "null", "none")
"""Cells of a CSV that say that there is nothing, as pandas and others write it."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Rows of a metadata file. `rows` are their numbers by the name of their image, as it is written.

    `problems` are rows that cannot be used: (number of the row, reason, detail).
    """

    rows: Mapping[str, Sequence[int]]
    record: Callable[[int], Record]
    classes: Classes = field(default_factory=dict)
    problems: Sequence[tuple[int, str, str]] = ()


def is_metadata(path: str) -> bool:
    """Whether a file is metadata, by its name."""
    return posixpath.basename(path).lower() in METADATA_NAMES


@lru_cache(maxsize=4)
def load_metadata(url: str, version: str) -> Metadata:
    """The metadata at a URL, parsed once a process for each `version` of it.

    What cannot be read is a problem of it. Raises `TransportError` where it cannot be had.
    """
    data = read_whole(url)
    form = url.lower().rpartition(".")[2]
    try:
        if form == "parquet":
            return _of_table(pq.read_table(io.BytesIO(data)))
        text = decoded(data)
        return _of_csv(text) if form == "csv" else _of_lines(text)
    except (OSError, ValueError, pa.ArrowException, csv.Error) as error:
        return Metadata({}, lambda number: {}, problems=[(0, "bad_text", f"{type(error).__name__}: {error}")])


def _of_lines(text: str) -> Metadata:
    lines = [line for line in text.split("\n") if line.strip()]
    made = _Rows()
    for number, line in enumerate(lines):
        try:
            made.add(number, json.loads(line))
        except (ValueError, RecursionError) as error:
            made.problems.append((number, "bad_line", str(error)))

    def record(number: int) -> Record:
        found: Record = json.loads(lines[number])
        return found

    return Metadata(made.rows, record, problems=made.problems)


def _of_csv(text: str) -> Metadata:
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    header, *rows = list(csv.reader(io.StringIO(text), delimiter=delimiter)) or [[]]
    made = _Rows()

    def record(number: int) -> Record:
        cells = dict(zip(header, rows[number], strict=False))
        return {name: _parsed(cell) for name, cell in cells.items() if cell.strip().lower() not in _NULLS}

    for number, row in enumerate(rows):
        if row and len(row) != len(header):
            made.problems.append((number, "bad_line", f"{len(row)} cells, the header has {len(header)}"))
        elif row:
            made.add(number, record(number))
    return Metadata(made.rows, record, problems=made.problems)


def _of_table(table: pa.Table) -> Metadata:
    table = table.select([one.name for one in table.schema if not is_bytes(one.type)])
    made = _Rows()
    names = next((name for name in NAME_KEYS if name in table.column_names), "")
    for number, name in enumerate(table[names].to_pylist() if names else [None] * table.num_rows):
        made.add(number, {names: name})

    def record(number: int) -> Record:
        return {name: table[name][number].as_py() for name in table.column_names}

    return Metadata(made.rows, record, names_in_schema(table.schema), made.problems)


@dataclass(slots=True)
class _Rows:
    """Rows by the name of their image, and what is wrong with others."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    problems: list[tuple[int, str, str]] = field(default_factory=list)

    def add(self, number: int, record: Any) -> None:
        names = (record.get(key) for key in NAME_KEYS) if isinstance(record, Mapping) else ()
        name = next((one for one in names if isinstance(one, str) and one), "")
        if name:
            self.rows.setdefault(name, []).append(number)
        else:
            self.problems.append((number, "bad_record", "expected an object with file_name"))


def _parsed(cell: str) -> Any:
    """A cell of a CSV; lists and objects are written in it as JSON."""
    if cell[:1] in "[{":
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell
