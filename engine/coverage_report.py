"""The coverage numbers of a dataset beside FLD-5B's, as JSON and Parquet."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from engine.coverage import (
    LOG2_AREA_RANGE,
    LOG2_ASPECT_RANGE,
    MICRO,
    Aggregate,
)
from engine.fld5b import ANNOTATION_STATISTICS, SEMANTIC_COVERAGE
from engine.hashing import canonical_json
from engine.store import Store
from schemas.annotations import GRANULARITIES, Frozen

FOLDER = "coverage"
COUNT_COLUMNS = ("annotations", "regions")
"""Columns of Table 2 that are sums; the others are averages."""

COMPARISON = pa.schema(
    [
        ("row", pa.string()),
        ("column", pa.string()),
        ("ours", pa.float64()),
        ("fld5b", pa.float64()),
        ("difference", pa.float64()),
    ]
)
DISTRIBUTIONS = pa.schema(
    [
        ("family", pa.string()),
        ("what", pa.string()),
        ("bin", pa.int32()),
        ("low", pa.float64()),
        ("high", pa.float64()),
        ("count", pa.int64()),
    ]
)


class Figure(Frozen):
    """One number of a table. `ours` is None where there is nothing to average; sums have no difference."""

    row: str
    column: str
    ours: float | None
    fld5b: float
    difference: float | None


class CoverageReport(Frozen):
    """`table2` and `table3` follow the paper's; `bins` of each distribution run from `low` to `high`."""

    images: int
    table2: tuple[Figure, ...]
    table3: tuple[Figure, ...]
    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    composed_texts: int
    derived_regions: int


def make_report(aggregate: Aggregate) -> CoverageReport:
    """Averages from sums."""
    counts = aggregate.counts
    return CoverageReport(
        images=counts.get("images", 0),
        table2=tuple(
            _figure(row, column, _statistic(counts, row, column), fld5b, is_sum=column in COUNT_COLUMNS)
            for row, columns in ANNOTATION_STATISTICS.items()
            for column, fld5b in columns.items()
        ),
        table3=tuple(
            _figure(
                element, granularity, _semantic(counts, element, granularity), SEMANTIC_COVERAGE[element][granularity]
            )
            for element in SEMANTIC_COVERAGE
            for granularity in GRANULARITIES
        ),
        kept=aggregate.kept,
        dropped=aggregate.dropped,
        composed_texts=counts.get("texts/composed", 0),
        derived_regions=sum(counts.get(f"phrase-region {g}/derived_regions", 0) for g in GRANULARITIES),
    )


def write_coverage(store: Store, aggregate: Aggregate) -> CoverageReport:
    """Write `coverage/report.json`, `table2.parquet`, `table3.parquet` and `distributions.parquet`."""
    report = make_report(aggregate)
    store.write_bytes(f"{FOLDER}/report.json", canonical_json(report.model_dump(mode="json")).encode())
    for name, figures in (("table2", report.table2), ("table3", report.table3)):
        rows = [figure.model_dump() for figure in figures]
        store.write_table(f"{FOLDER}/{name}.parquet", pa.Table.from_pylist(rows, schema=COMPARISON))
    store.write_table(f"{FOLDER}/distributions.parquet", distributions(aggregate))
    return report


def distributions(aggregate: Aggregate) -> pa.Table:
    """One row a bin. `low` and `high` are log2 for area and aspect, a number of boxes, or the cell of the heat map.

    Cells count row by row from the top left of a 32 × 32 grid.
    """
    rows = []
    for key, bins in aggregate.histograms.items():
        family, what = key.split("/")
        for number, count in enumerate(bins):
            low, high = _edges(what, number, len(bins))
            rows.append({"family": family, "what": what, "bin": number, "low": low, "high": high, "count": count})
    return pa.Table.from_pylist(rows, schema=DISTRIBUTIONS)


def _edges(what: str, number: int, num_bins: int) -> tuple[float, float]:
    start, stop = {"log2_area": LOG2_AREA_RANGE, "log2_aspect": LOG2_ASPECT_RANGE}.get(what, (0, num_bins))
    width = (stop - start) / num_bins
    return start + number * width, start + (number + 1) * width


def _figure(row: str, column: str, ours: float | None, fld5b: float, *, is_sum: bool = False) -> Figure:
    difference = None if ours is None or is_sum else round(ours - fld5b, 4)
    return Figure(row=row, column=column, ours=ours, fld5b=fld5b, difference=difference)


def _statistic(counts: Mapping[str, int], row: str, column: str) -> float | None:
    if column in COUNT_COLUMNS:
        return float(counts.get(f"{row}/{column}", 0))
    sums = {
        "tokens": ("tokens", "annotations"),
        "regions_per_annotation": ("regions", "annotations"),
        "region_tokens": ("region_tokens", "texts" if row.startswith("region-text") else "regions"),
    }
    above, below = sums[column]
    return _ratio(counts.get(f"{row}/{above}", 0), counts.get(f"{row}/{below}", 0))


def _semantic(counts: Mapping[str, int], element: str, granularity: str) -> float | None:
    total = counts.get(f"text {granularity}/{element}", 0)
    scale = MICRO if element.endswith("complexity") else 1
    return _ratio(total, scale * counts.get(f"text {granularity}/annotations", 0))


def _ratio(above: int, below: int) -> float | None:
    return round(above / below, 4) if below else None
