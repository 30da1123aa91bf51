"""What a page is made of: tables of data, and charts over them. Templates draw both; neither holds any markup."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from fld_engine.engine.stages.report.definitions import Definition

log = logging.getLogger(__name__)

Cell = str | int | float | bool | None
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Data:
    """A table: rows of as many cells as there are columns. `name` is its file under `report/data`."""

    name: str
    columns: tuple[str, ...]
    rows: Sequence[Row]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Columns that hold numbers, or nothing."""
        return tuple(
            any(isinstance(row[i], int | float) for row in self.rows)
            and not any(isinstance(row[i], str) for row in self.rows)
            for i in range(len(self.columns))
        )

    def to_arrow(self) -> pa.Table:
        """Columns with the type that their values have; empty ones are strings."""
        columns = [[row[i] for row in self.rows] for i in range(len(self.columns))]
        arrays = [_array(column) for column in columns]
        return pa.table(dict(zip(self.columns, arrays, strict=True)))


@dataclass(frozen=True)
class Chart:
    """A chart over a table. `spec` is what `assets/report.js` draws:

    `type` (bar, line, calibration, rows, heat or matrix), `x` (labels), `series` ([{name, data}]), `xlabel`, `ylabel`,
    and as needed `stack` and `marks` ([{at, label}], at an index of `x`). `alt` says in words what the chart shows.
    """

    title: str
    definition: str
    spec: Mapping[str, Any]
    data: Data
    alt: str

    @property
    def id(self) -> str:
        return self.data.name


@dataclass(frozen=True)
class TableBlock:
    """A table that is shown open, `whole` without a scroll bar of its own.

    `definitions` maps columns (or cells) to keys of definitions.
    """

    title: str
    definition: str
    data: Data
    definitions: Mapping[str, str] = field(default_factory=dict)
    whole: bool = False


@dataclass(frozen=True)
class Card:
    """A number at the head of a page."""

    label: str
    value: Cell
    definition: str
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A part of a page. `text` is one plain paragraph, `widget` the name of a part that JavaScript drives."""

    title: str
    text: str = ""
    blocks: Sequence[Chart | TableBlock] = ()
    widget: str = ""
    data: Any = None
    wide: bool = False


WIDGETS = {"thresholds": "slider", "gallery": "gallery", "pairs": "change"}
"""Widget → the definition that it links to."""


@dataclass(frozen=True)
class Page:
    """One page: `name` is its file without `.html`. `payload` goes to the page as JSON.

    `own_definitions` are those that its `definitions` need beside `DEFINITIONS`. `beside` are tables that are written
    and not shown, `package` is who made the page, and `problem` says why it could not be made; the engine fills these.
    """

    name: str
    title: str
    lead: str
    sections: Sequence[Section]
    cards: Sequence[Card] = ()
    payload: Any = None
    script: str = ""
    own_definitions: Mapping[str, Definition] = field(default_factory=dict)
    beside: Sequence[Data] = ()
    package: str = "fld-engine"
    problem: str = ""

    @property
    def has_charts(self) -> bool:
        return any(isinstance(b, Chart) for s in self.sections for b in s.blocks) or any(
            s.widget == "thresholds" for s in self.sections
        )

    @property
    def definitions(self) -> set[str]:
        """Keys of the definitions that the page needs."""
        blocks = [block for section in self.sections for block in section.blocks]
        keys = {block.definition for block in blocks} | {card.definition for card in self.cards}
        keys |= {key for block in blocks if isinstance(block, TableBlock) for key in block.definitions.values()}
        return keys | {WIDGETS[section.widget] for section in self.sections if section.widget}

    @property
    def tables(self) -> list[Data]:
        """Those that it shows."""
        return [block.data for section in self.sections for block in section.blocks]

    @property
    def tables_written(self) -> list[Data]:
        """Those that it shows, and those beside it."""
        return [*self.tables, *self.beside]


def page_with_problem(name: str, package: str, error: Exception) -> Page:
    """What stands in the place of a page that could not be made."""
    problem = f"page {name!r} of package {package}: {type(error).__name__}: {error}"
    log.warning("%s", problem, exc_info=error)
    return Page(name, name, f"This page could not be made: {problem}", sections=(), package=package, problem=problem)


def bars(
    title: str,
    definition: str,
    name: str,
    x: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    stack: bool = False,
    kind: str = "bar",
    marks: Sequence[Mapping[str, Any]] = (),
) -> Chart:
    """A chart of one number (or more, side by side) for each of `x`; its table has a column for each series.

    Series of zeros alone are in the table and not in the chart.
    """
    rows: list[Row] = [(label, *(values[i] for values in series.values())) for i, label in enumerate(x)]
    shown = {key: values for key, values in series.items() if any(values)} or dict(list(series.items())[:1])
    spec = {
        "type": kind, "x": list(x), "xlabel": xlabel, "ylabel": ylabel, "stack": stack, "marks": list(marks),
        "series": [{"name": key, "data": list(values)} for key, values in shown.items()],
    }  # fmt: skip
    return Chart(title, definition, spec, Data(name, (xlabel, *series), rows), _alt(title, x, series))


def heat(title: str, definition: str, name: str, grid: Sequence[int], side: int) -> Chart:
    """A square heat map, row by row from the top left."""
    rows: list[Row] = [(i // side, i % side, int(n)) for i, n in enumerate(grid) if n]
    spec = {"type": "heat", "side": side, "cells": [[c, r, n] for r, c, n in rows]}
    total = max(1, sum(grid))
    half = side // 2
    inner = sum(grid[i] for i in range(side * side) if half // 2 <= i // side < half + half // 2
                and half // 2 <= i % side < half + half // 2)  # fmt: skip
    alt = f"{title}: {sum(grid)} boxes, {inner / total:.0%} of them centred in the middle quarter of the image."
    return Chart(title, definition, spec, Data(name, ("row", "column", "boxes"), rows), alt)


def matrix(
    title: str, definition: str, name: str, x: Sequence[str], rows: Mapping[str, Sequence[int]], *, xlabel: str, of: str
) -> Chart:
    """Counts `of` something for each of `rows` over `x`, drawn as shares of the row; its table holds the counts."""
    cells = [
        [i, j, round(n / max(1, sum(values)), 4)]
        for j, values in enumerate(rows.values())
        for i, n in enumerate(values)
    ]
    filled = [cell for cell in cells if cell[2]]
    spec = {"type": "matrix", "x": list(x), "y": list(rows), "xlabel": xlabel, "of": of, "cells": filled}
    table: list[Row] = [(key, *values) for key, values in rows.items()]
    return Chart(title, definition, spec, Data(name, ("class", *x), table), _alt(title, list(x), rows))


def slug(*parts: str) -> str:
    """A name for files and links out of words."""
    return re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")


def _alt(title: str, x: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    said = []
    for name, values in series.items():
        if any(values):
            top = max(range(len(values)), key=lambda i: values[i])
            said.append(f"{name or 'values'} are highest at {x[top]} ({values[top]:g})")
    return f"{title}: " + ("; ".join(said[:6]) or "nothing to show") + "."


def _array(column: Sequence[Cell]) -> pa.Array:
    if any(isinstance(value, str) for value in column):
        return pa.array([None if value is None else str(value) for value in column], pa.string())
    if any(isinstance(value, float) for value in column):
        return pa.array([None if value is None else float(value) for value in column], pa.float64())
    return pa.array(list(column)) if any(value is not None for value in column) else pa.nulls(len(column), pa.string())
