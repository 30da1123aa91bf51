"""Arrow columns as numpy arrays, and joins on ids, for arithmetic on whole partitions at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.geometry import Bools, Floats, Ints

Column: TypeAlias = pa.ChunkedArray | pa.Array


def floats(table: pa.Table, name: str) -> Floats:
    """A column of numbers."""
    values: Floats = table[name].to_numpy().astype(np.float64)
    return values


def ints(table: pa.Table, name: str) -> Ints:
    """A column of integers."""
    values: Ints = table[name].to_numpy().astype(np.int64)
    return values


def boxes_xyxy(table: pa.Table) -> Floats:
    """(n, 4) pixels, from the columns x1 y1 x2 y2."""
    return np.stack([floats(table, name) for name in ("x1", "y1", "x2", "y2")], axis=1)


def equals(column: Column, value: str) -> Bools:
    """Whether each row of a string column holds `value`."""
    return one_of(column, (value,))


def one_of(column: Column, values: Iterable[str]) -> Bools:
    """Whether each row of a string column holds one of `values`."""
    found: Bools = pc.is_in(column, value_set=pa.array(list(values), column.type)).to_numpy(zero_copy_only=False)
    return found


def positions(ids: Column, among: Column) -> Ints:
    """Row of `among` that holds each id, the first of equal ones; -1 where none does."""
    rows = pc.index_in(_whole(ids), value_set=_whole(among)).fill_null(-1)
    found: Ints = rows.to_numpy().astype(np.int64)
    return found


def num_by_value(column: Column) -> dict[str, int]:
    """Number of rows of each value of a string column."""
    counts = pc.value_counts(column)
    return dict(zip(counts.field("values").to_pylist(), counts.field("counts").to_pylist(), strict=True))


def codes(*columns: Column) -> Ints:
    """The same small number for rows that are equal in all string columns, and another for every other row."""
    code: Ints = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        encoded = _whole(column).dictionary_encode()
        code = code * len(encoded.dictionary) + encoded.indices.to_numpy()
    return np.unique(code, return_inverse=True)[1].astype(np.int64).reshape(-1)


def _whole(column: Column) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
