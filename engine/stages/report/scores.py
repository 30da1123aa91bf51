"""Scores and what filters decided on: histograms by specialist and by filter, with what became of the rows."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.columns import equals, floats
from fld_engine.engine.data.geometry import Bools, Ints
from fld_engine.engine.data.kept_rows import filters_of, is_ordinary, judged, num_dropped, num_kept, verdicts_of
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.filter.decide import NO_REGION
from fld_engine.engine.stages.report.bins import NUM_VALUE_BINS, SCORE_BINS, score_bins, value_bins
from fld_engine.engine.stages.report.tables import count_rows
from fld_engine.schemas.origins import Origin
from fld_engine.schemas.tables import VERDICT_TARGETS

KEPT, DROPPED, DROPPED_HERE, DROPPED_LATER = "kept", "dropped", "dropped_here", "dropped_later"

Rows = list[tuple[object, ...]]


def score_counts(view: PartitionView, keeps_low: Collection[str] = ()) -> Rows:
    """Rows of `COUNTS` over all rows of ordinary images, kept or not: scores, filter values, reasons and verdicts.

    `keeps_low` are the filters that keep low values.
    """
    rows: Rows = []
    for target in VERDICT_TARGETS:
        mine = is_ordinary(view, target)
        table = judged(view, target).filter(mine)
        rows += _verdicts(target, table)
        if target != "images":
            rows += _scores(target, table)
        if target == "regions":
            rows += _kinds(table)
        rows += _values(target, verdicts_of(view, target).filter(mine), table, keeps_low)
    return rows


def _verdicts(target: str, table: pa.Table) -> Rows:
    by = _makers(table)
    rows: Rows = []
    for name in np.unique(by):
        of_maker = table.filter(pa.array(by == name))
        rows.append(("verdict", target, name, KEPT, 0, num_kept(of_maker)))
        rows += [("verdict", target, name, reason, 0, number) for reason, number in num_dropped(of_maker).items()]
    return [row for row in rows if row[5]]


def _scores(target: str, table: pa.Table) -> Rows:
    by, bins = _makers(table), score_bins(floats(table, "score"))
    kept = table["kept"].to_numpy().astype(bool)
    rows: Rows = []
    for name in np.unique(by):
        for label, mine in ((KEPT, kept), (DROPPED, ~kept)):
            rows += count_rows("score", target, name, label, _counted(bins, mine & (by == name), SCORE_BINS))
    return rows


def _kinds(regions: pa.Table) -> Rows:
    """Objects and scene text of each specialist: bounds differ between them."""
    counted = regions.group_by(["annotator", "kind"]).aggregate([([], "count_all")]).to_pylist()
    return [("kind", "regions", row["annotator"], row["kind"], 0, row["count_all"]) for row in counted]


def _values(target: str, verdicts: pa.Table, table: pa.Table, keeps_low: Collection[str]) -> Rows:
    """What each filter decided on: rows that are kept, that it dropped, and that went later or with a parent.

    A filter that drops a row is the last that was asked of it; rows it passed and that went later have a later
    filter's value, or another reason than the filters'.
    """
    filters = filters_of(verdicts)
    kept = verdicts["kept"].to_numpy().astype(bool)
    asked = {name: pc.is_valid(verdicts[name]).to_numpy(zero_copy_only=False) for name in filters}
    at_end = equals(verdicts["reason"], NO_REGION)
    groups = _groups(target, table)
    rows: Rows = []
    for i, name in enumerate(filters):
        value = verdicts[name].to_numpy(zero_copy_only=False).astype(np.float64)
        later = np.zeros(len(kept), dtype=bool) | at_end
        for after in filters[i + 1 :]:
            later |= asked[after]
        told = asked[name] & ~np.isnan(value) & (groups != Origin.HUMAN)
        bins = value_bins(np.where(told, value, 0.0), keeps_low=name in keeps_low)
        for group in np.unique(groups[told]):
            of_group = told & (groups == group)
            for label, mine in ((KEPT, kept), (DROPPED_HERE, ~kept & ~later), (DROPPED_LATER, ~kept & later)):
                counts = _counted(bins, of_group & mine, NUM_VALUE_BINS)
                rows += count_rows("value", f"{target}/{group}", name, label, counts)
    return rows


def _groups(target: str, table: pa.Table) -> np.ndarray:
    """What a bound is set for: the granularity of a text, else who made the row. People's rows pass every filter."""
    makers = _makers(table)
    if target != "texts":
        return makers
    return np.where(
        makers == Origin.HUMAN, Origin.HUMAN, table["granularity"].to_numpy(zero_copy_only=False).astype(str)
    )


def _makers(table: pa.Table) -> np.ndarray:
    column = table["annotator" if "annotator" in table.column_names else "source"]
    makers: np.ndarray = column.to_numpy(zero_copy_only=False).astype(str)
    return makers


def _counted(bins: Ints, mine: Bools, num_bins: int) -> list[int]:
    found: list[int] = np.bincount(bins[mine], minlength=num_bins).tolist()
    return found
