"""Columns that several filters need."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from engine.geometry import Bools, Floats, Ints

HUMAN = "human"
"""Annotator of labels that people made. They are never dropped for a score, which they do not have."""


def strings(table: pa.Table, column: str) -> np.ndarray[tuple[int], np.dtype[np.str_]]:
    return table[column].to_numpy(zero_copy_only=False).astype(str)


def floats(table: pa.Table, column: str) -> Floats:
    values: Floats = table[column].to_numpy().astype(np.float64)
    return values


def boxes_xyxy(table: pa.Table) -> Floats:
    """(n, 4) pixels."""
    return np.stack([floats(table, c) for c in ("x1", "y1", "x2", "y2")], axis=1)


def by_human(table: pa.Table) -> Bools:
    return np.asarray(strings(table, "annotator") == HUMAN)


def classes(regions: pa.Table, region_texts: pa.Table) -> list[str]:
    """The first phrase of each region, in row order; empty for regions without one."""
    first: dict[str, str] = {}
    columns = (region_texts[c].to_pylist() for c in ("region_id", "kind", "text"))
    for region, kind, text in zip(*columns, strict=True):
        if kind == "phrase":
            first.setdefault(region, text)
    return [first.get(region, "") for region in regions["id"].to_pylist()]


def codes(*columns: np.ndarray[tuple[int], np.dtype[np.str_]]) -> Ints:
    """A number for every distinct combination of values, row by row."""
    joined = np.array(["\0".join(row) for row in zip(*columns, strict=True)], dtype=str)
    return np.unique(joined, return_inverse=True)[1].astype(np.int64)


def counts_by(owner: list[str], ids: list[str], mask: Bools | None = None) -> Floats:
    """How many of the (masked) rows name each id as their owner."""
    place = {identity: i for i, identity in enumerate(ids)}
    found = np.array([place.get(o, -1) for o in owner], dtype=np.int64)
    wanted = found >= 0 if mask is None else (found >= 0) & mask
    return np.bincount(found[wanted], minlength=len(ids)).astype(np.float64)
