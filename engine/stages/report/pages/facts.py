"""What pages are made from, and how they read the counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.status import StatusReport
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.stages.coverage.report import CoverageReport
from fld_engine.engine.stages.report.tables import select
from fld_engine.engine.stages.report.vocabulary import Vocabulary


@dataclass(frozen=True)
class Specialist:
    """One row of the list of specialists. `images_per_s` of one worker, None where no run measured it."""

    name: str
    use: str
    model: str
    revision: str
    version: int
    licence: str
    images_per_s: float | None


@dataclass(frozen=True)
class Facts:
    """Everything the pages of one root are made from. What other stages wrote of it is found through its `plan`.

    `about` says which of its rounds and what else than its own config, as a reader gave it; empty for neither.
    `runs` are the root's attempts (`run.json`), oldest first. `filters` maps a filter's name to its `target`, its
    `params` and what it says of its value (`keeps_low`, `of_score`). `words` are the names of the user's list, in lower
    case and its order.
    """

    plan: Plan
    root: str
    about: str
    config: str
    coverage: CoverageReport
    status: StatusReport
    counts: pa.Table
    vocabulary: Vocabulary
    gallery: Sequence[Mapping[str, Any]]
    specialists: Sequence[Specialist]
    filters: Mapping[str, Mapping[str, Any]]
    sources: Mapping[str, int]
    runs: Sequence[Mapping[str, Any]] = ()
    words: Sequence[str] = ()
    words_name: str = ""
    words_floor: int = 10

    @property
    def name(self) -> str:
        """The root, with what sets this report of it apart from others."""
        return f"{self.root}, {self.about}" if self.about else self.root

    def bins(self, measure: str, group: str, by: str = "", label: str = "") -> dict[int, int]:
        """Counts of a measure by bin."""
        rows = select(self.counts, measure=measure, family=group, by=by, label=label)
        return dict(zip(rows["bin"].to_pylist(), rows["count"].to_pylist(), strict=True))

    def labels(self, measure: str, group: str, by: str = "") -> dict[str, int]:
        """Counts of a measure by label."""
        rows = select(self.counts, measure=measure, family=group, by=by)
        found: dict[str, int] = {}
        for label, count in zip(rows["label"].to_pylist(), rows["count"].to_pylist(), strict=True):
            found[label] = found.get(label, 0) + count
        return found

    def makers(self, measure: str, group: str) -> list[str]:
        """Who has counts of a measure, "" (all together) left out."""
        rows = select(self.counts, measure=measure, family=group)
        return sorted(name for name in pc.unique(rows["by"]).to_pylist() if name)

    def groups(self, measure: str) -> list[str]:
        """What a measure is counted apart by: granularities, annotation families, verdict targets, …"""
        rows = select(self.counts, measure=measure)
        return sorted(pc.unique(rows["family"]).to_pylist())


def dense(bins: Mapping[int, int], num_bins: int) -> list[int]:
    """Counts of all bins, zeros included."""
    return [bins.get(i, 0) for i in range(num_bins)]


def trimmed(columns: Mapping[str, Sequence[int]]) -> tuple[int, int]:
    """The range [low, high) of bins outside of which every column is zero; (0, 1) where all is."""
    filled = [i for values in columns.values() for i, n in enumerate(values) if n]
    return (min(filled), max(filled) + 1) if filled else (0, 1)


def share(part: float, whole: float) -> float | None:
    """A share in [0, 1], None of nothing."""
    return round(part / whole, 4) if whole else None
