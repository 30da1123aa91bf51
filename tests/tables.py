"""Rows of annotation tables for tests: only what matters is written out, the rest has the emptiest value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from fld_engine.schemas.tables import ANNOTATION_TABLES, IMAGES

_EMPTY: dict[str, Any] = {"string": "", "double": 0.0, "bool": False, "int32": 0, "int64": 0}


def rows(table: str, *given: dict[str, Any]) -> pa.Table:
    """A table of `schemas.tables` (or `images`) with these rows; `box` stands for x1 y1 x2 y2.

    Left out columns are empty; `annotator` is `model`, and `image_id` is `image`.
    """
    schema = IMAGES if table == "images" else ANNOTATION_TABLES[table]
    return pa.Table.from_pylist([_full(schema, row) for row in given], schema=schema)


def annotations(**tables: pa.Table) -> dict[str, pa.Table]:
    """Every annotation table, empty where none is given."""
    return {name: tables.get(name, schema.empty_table()) for name, schema in ANNOTATION_TABLES.items()}


def parse(text_id: str, words: Sequence[str], image_id: str = "image") -> list[dict[str, Any]]:
    """Rows of `tokens` from `text/POS/relation/head` words, one space between them in the text."""
    found, start = [], 0
    for index, word in enumerate(words):
        text, pos, dep, head = word.rsplit("/", 3)
        end = start + len(text)
        place = {"index": index, "start": start, "end": end, "head": int(head), "chunk": -1}
        found.append({"image_id": image_id, "text_id": text_id, "text": text, "pos": pos, "dep": dep, **place})
        start = end + 1
    return found


def _full(schema: pa.Schema, row: dict[str, Any]) -> dict[str, Any]:
    empty = {field.name: _EMPTY.get(str(field.type), []) for field in schema}
    defaults = {name: value for name, value in (("annotator", "model"), ("image_id", "image")) if name in empty}
    box = dict(zip(("x1", "y1", "x2", "y2"), row.get("box", ()), strict=False))
    given = {name: value for name, value in row.items() if name != "box"}
    unknown = given.keys() - empty.keys()
    assert not unknown, f"no such columns: {unknown}"
    return {**empty, **defaults, **box, **given}
