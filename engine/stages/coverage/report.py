"""The coverage of a dataset beside FLD-5B's: averages from counts, as JSON, Parquet and rows for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.coverage.aggregates import Aggregate
from fld_engine.engine.stages.coverage.boxes import AREA_EDGES, ASPECT_EDGES, BoxCounts
from fld_engine.engine.stages.coverage.classes import ClassFigure, classes_table, figures
from fld_engine.engine.stages.coverage.counts import MILLIONTHS, GroundingCounts, RegionTextCounts, TextCounts
from fld_engine.engine.stages.coverage.fld5b import ANNOTATION_STATISTICS, PUBLISHED, SEMANTIC_COVERAGE
from fld_engine.schemas.annotations import GRANULARITIES, REGION_TEXT_KINDS, Frozen

FOLDER = "coverage"
FIGURES = pa.schema(
    [
        ("family", pa.string()),
        ("text", pa.string()),
        ("figure", pa.string()),
        ("ours", pa.float64()),
        ("reference", pa.float64()),
        ("difference", pa.float64()),
    ]
)
DISTRIBUTIONS = pa.schema(
    [
        ("family", pa.string()),
        ("distribution", pa.string()),  # area, aspect, centres or per_image, as in `BoxCounts`
        ("bin", pa.int32()),
        ("low", pa.float64()),  # of the bin: a share, a ratio, a number of boxes, or the number of a cell
        ("high", pa.float64()),
        ("count", pa.int64()),
    ]
)
DERIVED = "phrase-region, derived"
"""Groundings that agree by construction; the paper has none."""

Values = Mapping[str, float | None]


class Figure(Frozen):
    """One number of a table beside the paper's. `difference` is ours minus the reference; None where either is none."""

    family: str
    text: str
    figure: str
    ours: float | None
    reference: float | None
    difference: float | None


class CoverageReport(Frozen):
    """Tables 2 and 3 and Figure 5 for this dataset; averages are rounded to 1e-4, and None where there is nothing.

    `classes` and `contradicted_classes` are of whole images, as `ClassCounts`, where sources tell any.
    """

    reference: str
    images: int
    gold_images: int
    table2: tuple[Figure, ...]
    table3: tuple[Figure, ...]
    boxes: Mapping[str, BoxCounts]
    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    classes: tuple[ClassFigure, ...] = Field(default=(), exclude_if=lambda found: not found)
    contradicted_classes: int = Field(default=0, exclude_if=lambda number: not number)


def report(counts: Aggregate) -> CoverageReport:
    """The coverage report of a merged aggregate."""
    return CoverageReport(
        reference=PUBLISHED,
        images=counts.images,
        gold_images=counts.gold_images,
        table2=tuple(_table2(counts)),
        table3=tuple(_table3(counts)),
        boxes=counts.boxes,
        kept=counts.kept,
        dropped=counts.dropped,
        classes=figures(counts.classes),
        contradicted_classes=counts.classes.contradicted,
    )


def to_json(coverage: CoverageReport) -> bytes:
    """Canonical JSON: equal reports give equal bytes."""
    return canonical_json(coverage.model_dump(mode="json")).encode()


def figures_table(figures: tuple[Figure, ...]) -> pa.Table:
    """Table 2 or 3 with schema `FIGURES`, a row per figure."""
    return pa.Table.from_pylist([figure.model_dump() for figure in figures], schema=FIGURES)


def distributions_table(coverage: CoverageReport) -> pa.Table:
    """Figure 5 with schema `DISTRIBUTIONS`, a row per bin; families by name."""
    edges = {"area": AREA_EDGES.tolist(), "aspect": ASPECT_EDGES.tolist()}
    rows = []
    for family, boxes in sorted(coverage.boxes.items()):
        for name in ("area", "aspect", "centres", "per_image"):
            bins = getattr(boxes, name)
            bounds = edges.get(name, range(len(bins) + 1))
            rows += [(family, name, i, float(bounds[i]), float(bounds[i + 1]), bins[i]) for i in range(len(bins))]
    columns = zip(*rows, strict=True) if rows else [()] * len(DISTRIBUTIONS)
    return pa.table([list(column) for column in columns], schema=DISTRIBUTIONS)


def write_coverage(store: Store, counts: Aggregate, folder: str = "") -> CoverageReport:
    """Write `report.json`, `table2.parquet`, `table3.parquet` and `distributions.parquet` into the root's coverage.

    Where sources tell classes of images, `classes.parquet`, too. `folder` is that of a round, with its slash.
    """
    coverage = report(counts)
    store.write_bytes(f"{folder}{FOLDER}/report.json", to_json(coverage))
    store.write_table(f"{folder}{FOLDER}/table2.parquet", figures_table(coverage.table2))
    store.write_table(f"{folder}{FOLDER}/table3.parquet", figures_table(coverage.table3))
    store.write_table(f"{folder}{FOLDER}/distributions.parquet", distributions_table(coverage))
    if coverage.classes:
        store.write_table(f"{folder}{FOLDER}/classes.parquet", classes_table(counts.classes))
    else:
        store.delete(f"{folder}{FOLDER}/classes.parquet")
    return coverage


# ---------------------------------------------------------------- figures


def _table2(counts: Aggregate) -> Iterator[Figure]:
    for granularity in GRANULARITIES:
        yield from _figures("text", granularity, _of_texts(counts.texts[granularity]))
    for kind in REGION_TEXT_KINDS:
        yield from _figures("region-text", kind, _of_region_texts(counts.region_texts[kind]))
    for family, groundings in (("phrase-region", counts.groundings), (DERIVED, counts.derived_groundings)):
        for granularity in GRANULARITIES:
            yield from _figures(family, granularity, _of_groundings(groundings[granularity]))


def _table3(counts: Aggregate) -> Iterator[Figure]:
    for element, references in SEMANTIC_COVERAGE.items():
        unit = MILLIONTHS if element.endswith("_complexity") else 1
        for granularity in GRANULARITIES:
            texts = counts.texts[granularity]
            ours = _average(getattr(texts, element), unit * texts.parsed)
            yield _figure("text", granularity, element, ours, references[granularity])


def _of_texts(counts: TextCounts) -> Values:
    return {"annotations": counts.texts, "tokens": _average(counts.tokens, counts.parsed)}


def _of_region_texts(counts: RegionTextCounts) -> Values:
    return {
        "annotations": counts.images,
        "regions": counts.regions,
        "regions_per_annotation": _average(counts.regions, counts.images),
        "tokens_per_region": _average(counts.tokens, counts.texts),
    }


def _of_groundings(counts: GroundingCounts) -> Values:
    return {
        "annotations": counts.texts,
        "tokens": _average(counts.text_tokens, counts.parsed_texts),
        "regions": counts.regions,
        "regions_per_annotation": _average(counts.regions, counts.texts),
        "tokens_per_region": _average(counts.region_tokens, counts.regions),
    }


def _figures(family: str, text: str, values: Values) -> Iterator[Figure]:
    published = ANNOTATION_STATISTICS.get((family, text), {})
    for name, ours in values.items():
        yield _figure(family, text, name, ours, published.get(name))


def _figure(family: str, text: str, name: str, ours: float | None, reference: float | None) -> Figure:
    difference = None if ours is None or reference is None else round(ours - reference, 4)
    return Figure(family=family, text=text, figure=name, ours=ours, reference=reference, difference=difference)


def _average(total: int, number: int) -> float | None:
    return round(total / number, 4) if number else None
