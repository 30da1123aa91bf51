"""Large tables of label files, held as Arrow and sorted by image."""

from __future__ import annotations

import bisect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"


@dataclass(frozen=True, slots=True)
class ByImage:
    """Rows of a table by image: those of `images[i]` are `starts[i]` to `starts[i + 1]`, in the order of the file."""

    images: pa.Array
    starts: npt.NDArray[np.int64]
    rows: pa.Table

    def of(self, image: str) -> list[dict[str, Any]]:
        """Rows of one image, none where it has none."""
        first, last = self._span(image)
        return list(self.rows.slice(first, last - first).to_pylist()) if last > first else []

    def count(self, image: str) -> int:
        first, last = self._span(image)
        return last - first

    def _span(self, image: str) -> tuple[int, int]:
        at = bisect.bisect_left(self.images, image, key=lambda value: value.as_py())
        if at == len(self.images) or self.images[at].as_py() != image:
            return 0, 0
        return int(self.starts[at]), int(self.starts[at + 1])


def by_image(table: pa.Table, column: str) -> ByImage:
    """A table sorted by the strings of one of its columns, which is then left out; rows without one are left out."""
    table = table.filter(pc.is_valid(table[column]))
    ids = pc.dictionary_encode(pc.cast(table[column], pa.string()).combine_chunks())
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    order = pc.sort_indices(ids.dictionary).to_numpy()
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    ranks = rank[ids.indices.to_numpy(zero_copy_only=False)]
    rows = np.argsort(ranks, kind="stable")
    starts = np.searchsorted(ranks[rows], np.arange(len(order) + 1))
    images = ids.dictionary.take(pa.array(order))
    return ByImage(images, starts, table.drop_columns([column]).unify_dictionaries().take(pa.array(rows)))


def read_csv(stream: Any, columns: Mapping[str, pa.DataType]) -> tuple[pa.Table, int]:
    """These columns of a CSV with a header, and how many lines have another number of fields, which are left out.

    A number that is none is null. Raises `ValueError` where the file is no CSV or has not all of the columns.
    """
    skipped = 0

    def skip(row: Any) -> str:
        nonlocal skipped
        skipped += 1
        return "skip"

    numbers = {name: kind for name, kind in columns.items() if pa.types.is_floating(kind) or pa.types.is_integer(kind)}
    try:
        table = csv.read_csv(
            stream,
            read_options=csv.ReadOptions(use_threads=False),
            parse_options=csv.ParseOptions(newlines_in_values=True, invalid_row_handler=skip),
            convert_options=csv.ConvertOptions(
                include_columns=list(columns),
                column_types={**columns, **dict.fromkeys(numbers, pa.string())},
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise ValueError(str(error)) from error
    for name, kind in numbers.items():
        table = table.set_column(table.column_names.index(name), name, _as_numbers(table[name], kind))
    return table, skipped


def _as_numbers(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    are_numbers = pc.match_substring_regex(column, _NUMBER)
    column = pc.utf8_trim_whitespace(pc.if_else(are_numbers, column, None))
    return pc.cast(pc.cast(column, pa.float64()), kind, safe=False)


def header_of(first_line: bytes) -> tuple[str, ...]:
    """Names of columns in the first line of a CSV."""
    line = first_line.decode("utf-8-sig", "replace").strip("\r\n")
    return tuple(name.strip().strip('"') for name in re.split(",", line))


def concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    """Tables of the same columns below one another; those that have more or fewer get nulls."""
    return pa.concat_tables(tables, promote_options="default").unify_dictionaries()
