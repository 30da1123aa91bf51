"""The coverage report as rows of text, for whoever draws tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from fld_engine.engine.stages.coverage.report import CoverageReport, Figure
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.tables import VERDICT_TARGETS

UNITS = ((1e9, "B"), (1e6, "M"), (1e3, "k"))


class SummaryTable(Frozen):
    """A table of text; every row has as many cells as `header`."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def terminal_summary(coverage: CoverageReport) -> tuple[SummaryTable, ...]:
    """Tables 2 and 3 with the paper's figures in brackets, and what was kept; rows without anything are left out."""
    return (
        _table("Annotation statistics (FLD-5B)", ("family", "text"), coverage.table2),
        _table("Semantic coverage, averages per text (FLD-5B)", ("family", "text"), coverage.table3),
        *_classes(coverage),
        SummaryTable(
            title="Verdicts", header=("target", "kept", "dropped", "reasons"), rows=tuple(_verdict_rows(coverage))
        ),
    )


def _classes(coverage: CoverageReport) -> Iterator[SummaryTable]:
    if coverage.classes:
        rows = [
            (one.said, one.by, short(one.classes), short(one.images), short(one.annotations))
            for one in coverage.classes
        ]
        if coverage.contradicted_classes:
            rows.append(("labels and absences", "", "", "", f"{short(coverage.contradicted_classes)} contradict"))
        header = ("said", "by", "classes", "images", "annotations")
        yield SummaryTable(title="Classes of images, as sources tell them", header=header, rows=tuple(rows))


def short(value: float | None) -> str:
    """A figure in few characters: 681M, 12.3k, 5.42; a dash for none."""
    if value is None:
        return "–"
    for unit, letter in UNITS:
        if value >= unit:
            return f"{value / unit:.4g}{letter}"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def _table(title: str, key: tuple[str, str], figures: tuple[Figure, ...]) -> SummaryTable:
    names = tuple(dict.fromkeys(figure.figure for figure in figures))
    groups = dict.fromkeys((figure.family, figure.text) for figure in figures)
    rows = []
    for family, text in groups:
        found = {f.figure: f for f in figures if (f.family, f.text) == (family, text)}
        if any(figure.ours for figure in found.values()):
            rows.append((family, text, *(_cell(found.get(name)) for name in names)))
    return SummaryTable(title=title, header=(*key, *(name.replace("_", " ") for name in names)), rows=tuple(rows))


def _cell(figure: Figure | None) -> str:
    if figure is None:
        return ""
    reference = "" if figure.reference is None else f" ({short(figure.reference)})"
    return short(figure.ours) + reference


def _verdict_rows(coverage: CoverageReport) -> Iterator[tuple[str, ...]]:
    for target in VERDICT_TARGETS:
        kept, reasons = coverage.kept[target], coverage.dropped[target]
        by_number = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        yield target, str(kept), str(sum(reasons.values())), ", ".join(f"{reason} {n}" for reason, n in by_number)
