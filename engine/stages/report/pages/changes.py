"""Changes: every number of a report beside that of another, and what happened to the annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fld_engine.engine.stages.report.compare import CHANGES, CompareResult
from fld_engine.engine.stages.report.model import Card, Chart, Data, Page, Row, Section, TableBlock, bars
from fld_engine.engine.stages.report.pages.facts import Facts, share

DRAWN = ("family", "label", "xyxy", "score", "kept")
"""Of a box beside another."""
LEFT_OUT = ("gallery", "thresholds", "FLD-5B", "difference")
"""Tables and columns without numbers of this dataset; those of `thresholds` are among the distributions."""

NAME = "changes"
TABLES = ("changes", "changed-images", "changed-numbers", "changed-counts")

Number = tuple[str, str, str, str]
"""Page, title of the table, key of the row, column."""


def changes(
    now: Facts,
    before: Facts,
    compared: CompareResult,
    pairs: Sequence[Mapping[str, Any]],
    pages: tuple[Sequence[Page], Sequence[Page]],
) -> Page:
    """The page `changes.html`.

    `pairs` are the images that changed most: id, changes, gallery records of both sides. `pages` are the other pages of
    both roots, now and before.
    """
    cards = [
        Card("images in both", compared.images.get("both", 0), "change"),
        *(Card(f"regions {c}", compared.changes.get("region-text", {}).get(c, 0), "change") for c in CHANGES[1:]),
    ]
    families = sorted(compared.changes)
    chart = bars(
        "What became of the annotations, shares", "change", "changes", families or ["none"],
        {c: [_part(compared.changes[f], c) for f in families] or [0] for c in CHANGES},
        xlabel="family", ylabel="share", stack=True, kind="rows",
    )  # fmt: skip
    rows: list[Row] = [(f, *(compared.changes[f].get(c, 0) for c in CHANGES)) for f in families]
    shown = Chart(chart.title, chart.definition, chart.spec, Data("changes", ("family", *CHANGES), rows), chart.alt)
    images: list[Row] = [(number, image) for number, image, _, _ in compared.most]
    sections = [
        Section("Annotations", "Of the images that are in both, kept before and kept now.", [
            shown,
            TableBlock("Images that changed most", "change", Data("changed-images", ("changes", "image"), images)),
        ]),
        Section("Before beside after", "" if pairs else "No image changed.", widget="pairs"),
        Section("Every number", "", [_numbers(*pages)], wide=True),
        Section("Every distribution", "Bins whose count changed.", [_counts(now, before)], wide=True),
    ]  # fmt: skip
    lead = f"Now: {now.name}. Before: {before.name}."
    return Page(
        NAME,
        "Changes",
        lead,
        sections,
        cards,
        payload={"pairs": [_kept_of(pair) for pair in pairs]},
        script="changes",
    )


def _part(counted: Mapping[str, int], change: str) -> float:
    return share(counted.get(change, 0), sum(counted.values())) or 0.0


def _kept_of(pair: Mapping[str, Any]) -> Mapping[str, Any]:
    """A pair with what is drawn of it: kept boxes and texts."""
    sides = {}
    for side in ("before", "after"):
        image = pair[side]
        sides[side] = image and {
            **image,
            "boxes": [{key: box[key] for key in DRAWN} for box in image["boxes"] if box["kept"]],
            "texts": [text for text in image["texts"] if text["kept"]],
        }
    return {**pair, **sides}


def _numbers(now: Sequence[Page], before: Sequence[Page]) -> TableBlock:
    ours, theirs = dict(numbers(now)), dict(numbers(before))
    rows: list[Row] = []
    for key in dict.fromkeys((*ours, *theirs)):
        new, old = ours.get(key), theirs.get(key)
        if new or old:
            change = None if new is None or old is None else round(new - old, 4)
            rows.append((*key, old, new, change))
    rows.sort(key=lambda row: row[6] == 0)  # stable: what changed comes first
    columns = ("page", "table", "of", "figure", "before", "now", "change")
    return TableBlock("Numbers", "difference_roots", Data("changed-numbers", columns, rows))


def numbers(pages: Sequence[Page]) -> Iterator[tuple[Number, float | None]]:
    """Every number in the tables and charts of these pages, by its page, table, row and column.

    The key of a row is made of its texts and its first cell.
    """
    for page in pages:
        for block in (block for section in page.sections for block in section.blocks):
            data = block.data
            keys = [i for i in range(len(data.columns)) if i == 0 or not data.numeric[i]]
            figures = [i for i in range(len(data.columns)) if i not in keys and data.columns[i] not in LEFT_OUT]
            for row in data.rows if data.name not in LEFT_OUT else ():
                of = " / ".join(str(row[i]) for i in keys)
                for i in figures:
                    value = row[i]
                    if value is None or isinstance(value, int | float):
                        yield (page.title, block.title, of, data.columns[i]), value


def _counts(now: Facts, before: Facts) -> TableBlock:
    """Every bin of every distribution that differs."""
    keys = ("measure", "family", "by", "label", "bin")

    def by_key(facts: Facts) -> dict[tuple[Any, ...], int]:
        columns = (facts.counts[name].to_pylist() for name in keys)
        return dict(zip(zip(*columns, strict=True), facts.counts["count"].to_pylist(), strict=True))

    new, old = by_key(now), by_key(before)
    rows: list[Row] = [
        (*key, old.get(key, 0), new.get(key, 0), new.get(key, 0) - old.get(key, 0))
        for key in sorted(new.keys() | old.keys())
        if new.get(key, 0) != old.get(key, 0)
    ]
    return TableBlock(
        "Distributions", "difference_roots", Data("changed-counts", (*keys, "before", "now", "change"), rows)
    )
