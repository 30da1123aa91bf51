"""Tables that the parts of one step hand to those of the next: through files, or in memory where one worker is all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.store import Store


class Exchange(Protocol):
    """What is put under a name for one receiver comes out whole, in the order of the senders."""

    def put(self, name: str, sender: int, receiver: int, table: pa.Table) -> None: ...
    def get(self, name: str, receiver: int, schema: pa.Schema, *, again: bool = False) -> pa.Table:
        """All that was put, with no rows where nothing was; `again` says that it will be asked for once more."""
        ...


class Files:
    """Under a folder of a root that is named by what it is made from: who writes a file again writes the same bytes."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder

    def put(self, name: str, sender: int, receiver: int, table: pa.Table) -> None:
        if table.num_rows:
            self._store.write_table(f"{self._folder}/{name}/{receiver:05d}/{sender:05d}.parquet", table)

    def get(self, name: str, receiver: int, schema: pa.Schema, *, again: bool = False) -> pa.Table:
        folder = f"{self._folder}/{name}/{receiver:05d}"
        names = sorted(n for n in self._store.list_names(folder) if n.endswith(".parquet"))
        return pa.concat_tables([schema.empty_table(), *(self._store.read_table(f"{folder}/{n}") for n in names)])


class Memory:
    """In this process; nothing is kept that is not asked for again."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, int], dict[int, pa.Table]] = {}

    def put(self, name: str, sender: int, receiver: int, table: pa.Table) -> None:
        self._tables.setdefault((name, receiver), {})[sender] = table

    def get(self, name: str, receiver: int, schema: pa.Schema, *, again: bool = False) -> pa.Table:
        found = self._tables.get((name, receiver), {}) if again else self._tables.pop((name, receiver), {})
        return pa.concat_tables([schema.empty_table(), *(table for _, table in sorted(found.items()))])


def deal(table: pa.Table, receivers: np.ndarray, put: Callable[[int, pa.Table], None]) -> None:
    """Give every receiver its rows, in their order; those that get none are not called for."""
    order = np.argsort(receivers, kind="stable")
    numbers, starts, sizes = np.unique(receivers[order], return_index=True, return_counts=True)
    for number, start, size in zip(numbers, starts, sizes, strict=True):
        put(int(number), table.take(pa.array(order[start : start + size])))
