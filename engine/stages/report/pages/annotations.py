"""Annotation statistics: the paper's Table 2 for this dataset, beside FLD-5B's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from fld_engine.engine.stages.coverage.boxes import MAX_PER_IMAGE
from fld_engine.engine.stages.coverage.report import Figure
from fld_engine.engine.stages.report.bins import COUNT_BINS
from fld_engine.engine.stages.report.model import Chart, Data, Page, Row, Section, TableBlock, bars
from fld_engine.engine.stages.report.pages.facts import Facts, dense, trimmed
from fld_engine.schemas.annotations import GRANULARITIES

UNITS = {
    "annotations": "image annotations",
    "tokens": "average tokens",
    "regions": "regions",
    "regions_per_annotation": "regions per annotation",
    "tokens_per_region": "tokens per region",
}
DEFINED = {"annotations": "annotation", "tokens": "token", "regions": "region", "tokens_per_region": "token",
           "regions_per_annotation": "region"}  # fmt: skip


class Annotations:
    """The page `annotations.html`."""

    order: ClassVar[int] = 2

    def render(self, facts: Facts) -> Page:
        sections = [
            Section(
                "Table 2, for this dataset",
                "Ours, FLD-5B's figure from the paper, and the difference; "
                "rows without a figure in the paper are ours.",
                [figures_block("Annotation statistics", "annotation", "table2", facts.coverage.table2)],
                wide=True,
            ),
            Section("How long texts are, and how many boxes images have", "", [_tokens(facts), _boxes(facts)]),
            Section("Who wrote what", "", [_writers(facts)]),
            *_classes(facts),
        ]
        lead = "How much there is of each annotation family, as the Florence-2 paper counts it."
        return Page("annotations", "Annotation statistics", lead, sections)

    def data(self, facts: Facts) -> Sequence[Data]:
        return ()


def figures_block(title: str, definition: str, name: str, figures: Sequence[Figure]) -> TableBlock:
    """A row for each figure that either side has."""
    rows: list[Row] = [
        (f.family, f.text.replace("_", " "), UNITS.get(f.figure, f.figure.replace("_", " ")), f.ours, f.reference,
         f.difference)
        for f in figures
        if f.ours or f.reference is not None
    ]  # fmt: skip
    defined = {UNITS.get(f.figure, f.figure.replace("_", " ")): _definition(f.figure) for f in figures}
    data = Data(name, ("family", "text", "figure", "this dataset", "FLD-5B", "difference"), rows)
    return TableBlock(title, definition, data, {**defined, "difference": "difference"}, whole=True)


def _definition(figure: str) -> str:
    return "complexity" if figure.endswith("_complexity") else DEFINED.get(figure, figure)


def _tokens(facts: Facts) -> Chart:
    series = {g.replace("_", " "): dense(facts.bins("tokens", g), COUNT_BINS) for g in GRANULARITIES}
    low, high = trimmed(series)
    x = [f"{i}+" if i == COUNT_BINS - 1 else str(i) for i in range(low, high)]
    return bars(
        "Tokens per text", "token", "tokens-per-text", x, {k: v[low:high] for k, v in series.items()},
        xlabel="tokens", ylabel="texts",
    )  # fmt: skip


def _boxes(facts: Facts) -> Chart:
    families = ("region-text", "scene-text", "phrase-region", "derived-phrase-region")
    series = {f: dense(facts.bins("per_image", f), MAX_PER_IMAGE + 1) for f in families}
    series = {f: v for f, v in series.items() if any(v[1:])} or {"region-text": series["region-text"]}
    _, high = trimmed(series)
    x = [f"{i}+" if i == MAX_PER_IMAGE else str(i) for i in range(high)]
    return bars(
        "Boxes per image", "per_image", "boxes-per-image-by-family", x, {k: v[:high] for k, v in series.items()},
        xlabel="boxes", ylabel="images",
    )  # fmt: skip


def _classes(facts: Facts) -> list[Section]:
    """Classes of whole images; nothing where no source tells any."""
    told = facts.coverage.classes
    if not told:
        return []
    rows: list[Row] = [(one.said, one.by, one.classes, one.images, one.annotations) for one in told]
    data = Data("classes-by-origin", ("said", "by", "classes", "images", "annotations"), rows)
    contradicted = facts.coverage.contradicted_classes
    intro = f"Of {contradicted} classes of an image it is also said that they are not on it." if contradicted else ""
    return [Section("Classes of images that sources tell", intro, [TableBlock("Classes by whose word", "class", data)])]


def _writers(facts: Facts) -> TableBlock:
    rows: list[Row] = []
    for granularity in GRANULARITIES:
        for by in facts.makers("texts_by", granularity):
            rows.append(("texts", granularity.replace("_", " "), by, facts.bins("texts_by", granularity, by)[0]))
    for family in facts.groups("area"):
        for by in facts.makers("area", family):
            rows.append(("boxes", family, by, sum(facts.bins("area", family, by).values())))
    data = Data("by-specialist", ("what", "family", "specialist", "kept"), rows)
    return TableBlock("Kept annotations by specialist", "kept", data)
