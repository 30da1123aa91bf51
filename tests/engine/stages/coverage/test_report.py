from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.coverage.aggregates import Aggregate, merge
from fld_engine.engine.stages.coverage.report import (
    DERIVED,
    CoverageReport,
    distributions_table,
    figures_table,
    report,
    to_json,
    write_coverage,
)
from fld_engine.engine.stages.coverage.summary import short, terminal_summary
from fld_engine.schemas.annotations import GRANULARITIES


def counted() -> Aggregate:
    """Two brief texts of 16 words and 5 objects, grounded on 3 regions; 4 objects on 2 images."""
    tree = merge([]).model_dump()
    tree["images"] = 2
    tree["texts"]["brief"] |= {"texts": 3, "parsed": 2, "tokens": 16, "objects": 5, "object_complexity": 5_500_000}
    tree["region_texts"]["phrase"] |= {"images": 2, "regions": 4, "texts": 4, "tokens": 5}
    tree["groundings"]["brief"] |= {
        "texts": 2, "parsed_texts": 2, "text_tokens": 16, "phrases": 2, "regions": 3, "region_tokens": 6,
    }  # fmt: skip
    tree["derived_groundings"]["brief"] |= {"texts": 1, "phrases": 1, "regions": 1, "region_tokens": 2}
    tree["kept"]["regions"], tree["dropped"]["regions"] = 4, {"low_confidence": 2, "overlaps_better": 5}
    return Aggregate.model_validate(tree)


@pytest.fixture(scope="module")
def coverage() -> CoverageReport:
    return report(counted())


@pytest.mark.parametrize(
    ("family", "text", "figure", "ours", "reference", "difference"),
    [
        ("text", "brief", "annotations", 3, 235e6, 3 - 235e6),
        ("text", "brief", "tokens", 16 / 2, 7.95, 0.05),  # of the parsed ones
        ("region-text", "phrase", "regions_per_annotation", 4 / 2, 5.42, -3.42),
        ("region-text", "phrase", "tokens_per_region", 5 / 4, 1.19, 0.06),
        ("phrase-region", "brief", "regions_per_annotation", 3 / 2, 4.27, -2.77),
        ("phrase-region", "brief", "tokens_per_region", 6 / 3, 1.93, 0.07),
        ("phrase-region", "detailed", "tokens", None, 31.65, None),  # nothing to average
        (DERIVED, "brief", "regions", 1, None, None),  # the paper has none
        ("region-text", "ocr", "regions", 0, None, None),
    ],
)
def test_table2(
    coverage: CoverageReport,
    family: str,
    text: str,
    figure: str,
    ours: float | None,
    reference: float | None,
    difference: float | None,
) -> None:
    found = [f for f in coverage.table2 if (f.family, f.text, f.figure) == (family, text, figure)]
    assert [(f.ours, f.reference) for f in found] == [(ours, reference)]
    assert found[0].difference == (None if difference is None else pytest.approx(difference))


def test_table3(coverage: CoverageReport) -> None:
    found = {(f.text, f.figure): f for f in coverage.table3}
    assert len(found) == 6 * 3
    assert found["brief", "objects"].ours == 5 / 2
    assert found["brief", "objects"].difference == pytest.approx(2.5 - 3.23)
    assert found["brief", "object_complexity"].ours == 5.5 / 2
    assert found["more_detailed", "action_complexity"].reference == 4.38
    assert found["more_detailed", "action_complexity"].ours is None


TABLE_2 = """
text           brief          235M   7.95  -      -      -
text           detailed       126M  31.65  -      -      -
text           more_detailed  126M  70.53  -      -      -
region-text    phrase         126M  -      681M    5.42  1.19
region-text    brief          126M  -      681M    5.42  2.55
phrase-region  brief          235M   7.95  1007M   4.27  1.93
phrase-region  detailed       126M  31.65  1289M  10.25  1.49
phrase-region  more_detailed  126M  70.53  1278M  10.17  1.35
"""
TABLE_2_COLUMNS = ("annotations", "tokens", "regions", "regions_per_annotation", "tokens_per_region")
TABLE_3 = """
objects            3.23  13.31  28.06
attributes         2.80   7.27  16.25
actions            0.58   4.21   8.76
proper_nouns       1.10   2.40   2.41
object_complexity  2.80   4.00   4.02
action_complexity  1.14   3.63   4.38
"""


def published(cell: str) -> float | None:
    """A figure as the paper prints it."""
    if cell == "-":
        return None
    return float(cell.removesuffix("M")) * (1e6 if cell.endswith("M") else 1)


def test_every_figure_of_the_papers_table_2_is_beside_ours(coverage: CoverageReport) -> None:
    """A mistyped reference would make every dataset look better or worse than FLD-5B."""
    ours = {(f.family, f.text, f.figure): f.reference for f in coverage.table2 if f.reference is not None}
    expected = {
        (family, text, column): published(cell)
        for family, text, *cells in map(str.split, TABLE_2.strip().splitlines())
        for column, cell in zip(TABLE_2_COLUMNS, cells, strict=True)
        if cell != "-"
    }
    assert ours == expected


def test_every_figure_of_the_papers_table_3_is_beside_ours(coverage: CoverageReport) -> None:
    ours = {(f.figure, f.text): f.reference for f in coverage.table3}
    expected = {
        (element, text): published(cell)
        for element, *cells in map(str.split, TABLE_3.strip().splitlines())
        for text, cell in zip(GRANULARITIES, cells, strict=True)
    }
    assert ours == expected


def test_files_of_a_root(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    written = write_coverage(store, counted())
    stored = json.loads((tmp_path / "coverage/report.json").read_bytes())
    assert CoverageReport.model_validate(stored) == written
    assert (tmp_path / "coverage/report.json").read_bytes() == to_json(report(counted()))
    assert pq.read_table(tmp_path / "coverage/table2.parquet").num_rows == len(written.table2)
    assert pq.read_table(tmp_path / "coverage/table3.parquet").equals(figures_table(written.table3))


def test_distributions_have_a_row_per_bin_with_its_edges(coverage: CoverageReport) -> None:
    table = distributions_table(coverage).to_pylist()
    assert len(table) == 4 * (40 + 20 + 32 * 32 + 51)
    areas = [row for row in table if (row["family"], row["distribution"]) == ("region-text", "area")]
    assert (areas[0]["low"], areas[-1]["high"]) == (2.0**-20, 1.0)
    assert all(left["high"] == right["low"] for left, right in pairwise(areas))


def test_summary_shows_what_is_there_with_the_papers_figure(coverage: CoverageReport) -> None:
    statistics, semantics, verdicts = terminal_summary(coverage)
    assert all(len(row) == len(table.header) for table in (statistics, semantics, verdicts) for row in table.rows)
    assert [row[:2] for row in statistics.rows] == [
        ("text", "brief"),
        ("region-text", "phrase"),
        ("phrase-region", "brief"),
        (DERIVED, "brief"),
    ]
    assert statistics.rows[0][2:4] == ("3 (235M)", "8 (7.95)")
    assert ("regions", "4", "7", "overlaps_better 5, low_confidence 2") in verdicts.rows


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "–"), (0.0, "0"), (5.42, "5.42"), (999.0, "999"), (12_345.0, "12.35k"), (1.007e9, "1.007B")],
)
def test_short_figures(value: float | None, expected: str) -> None:
    assert short(value) == expected
