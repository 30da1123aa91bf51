"""What was found, as filters of images: the first to be asked, one a list, so that each has a reason of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from fld_engine.engine.data.partition import read_output
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.protocols import Filter, Tables, Verdicts
from fld_engine.engine.stages.contamination.state import CONTAMINATION
from fld_engine.schemas.annotations import Frozen

REASON = f"{CONTAMINATION}:"
"""Opens the reason of an image that shows what may not be trained on; the name of the list follows."""

Row = Mapping[str, Any]


class Contaminated:
    """Drops images that show an entry of one list; the value is their distance to it."""

    class Params(Frozen):
        """The list."""

        name: str

    version = 1
    target: ClassVar[str] = "images"
    keeps_low: ClassVar[bool] = False
    requires: frozenset[str] = frozenset({"images"})

    def __init__(self, params: Params, distances: Mapping[str, float]) -> None:
        self.params: Frozen = params
        self._reason = f"{REASON}{params.name}"
        self._distances = distances

    def decide(self, tables: Tables) -> Verdicts:
        value = np.array([self._distances.get(one, np.nan) for one in tables["images"]["id"].to_pylist()], np.float64)
        return Verdicts(keep=np.isnan(value), value=value, reason=self._reason)


def contaminated(store: Store, partition: PartitionRecord, fingerprint: str) -> list[tuple[str, Filter]]:
    """The filters that say what a look-up of a partition found, by list."""
    by_list: dict[str, dict[str, float]] = {}
    for row in rows_found(store, partition, fingerprint):
        by_list.setdefault(row["list"], {})[row["image_id"]] = row["distance"]
    return [
        (f"{REASON}{name}", Contaminated(Contaminated.Params(name=name), distances))
        for name, distances in sorted(by_list.items())
    ]


def rows_found(store: Store, partition: PartitionRecord, fingerprint: str) -> list[Row]:
    """Rows of what a look-up found: `image_id`, `list`, `entry`, `how`, `distance`."""
    output = read_output(store, CONTAMINATION, partition.id, fingerprint)
    rows: list[Row] = store.read_table(output.files["found"].path).to_pylist()
    return rows
