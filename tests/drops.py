"""A filter for tests that drops what it is told to."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.schemas.annotations import Frozen


class Drops:
    """A filter that drops the rows with the given ids and remembers what it was shown."""

    class Params(Frozen):
        ids: tuple[str, ...] = ()

    version = 3
    target: ClassVar[str] = "regions"

    def __init__(self, target: str, *ids: str, reason: str = "bad", requires: tuple[str, ...] = ()) -> None:
        self.params, self.reason = self.Params(ids=ids), reason
        self.target = target  # type: ignore[misc]  # one class stands for filters of all targets
        self.requires = frozenset(requires)
        self.shown: list[list[str]] = []

    def decide(self, tables: Tables) -> Verdicts:
        ids = tables[self.target]["id"].to_pylist()
        self.shown.append(ids)
        keep = np.array([identity not in self.params.ids for identity in ids], dtype=bool)
        return Verdicts(keep=keep, value=keep.astype(np.float64), reason=self.reason)
