"""Changes: every number of a report beside that of another, and what happened to the annotations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine.report.compare import CHANGES, CompareResult
from engine.report.model import Card, Chart, Data, Page, Row, Section, TableBlock, bars
from engine.report.pages.facts import Facts, share
from engine.report.tables import KINDS, select
from engine.report.vocabulary import richness
from schemas.tables import VERDICT_TARGETS


def changes(now: Facts, before: Facts, compared: CompareResult, pairs: Sequence[Mapping[str, Any]]) -> Page:
    """The page `changes.html`. `pairs` are the images that changed most: id, changes, gallery records of both sides."""
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
        Section("Every number", "", [_numbers(now, before)], wide=True),
        Section("Every distribution", "Bins whose count changed.", [_counts(now, before)], wide=True),
    ]  # fmt: skip
    lead = f"{now.root} (now) against {before.root} (before)."
    return Page("changes", "Changes", lead, sections, cards, payload={"pairs": list(pairs)}, script="changes")


def _part(counted: Mapping[str, int], change: str) -> float:
    return share(counted.get(change, 0), sum(counted.values())) or 0.0


def _numbers(now: Facts, before: Facts) -> TableBlock:
    ours, theirs = dict(numbers(now)), dict(numbers(before))
    rows: list[Row] = []
    for key in dict.fromkeys((*ours, *theirs)):
        new, old = ours.get(key), theirs.get(key)
        if new or old:
            change = None if new is None or old is None else round(new - old, 4)
            rows.append((*key, old, new, change))
    columns = ("page", "of", "figure", "before", "now", "change")
    return TableBlock("Numbers", "difference_roots", Data("changed-numbers", columns, rows))


def numbers(facts: Facts) -> Iterator[tuple[tuple[str, str, str], float | None]]:
    """Every single number of the other pages: (page, of, figure) and its value."""
    status, coverage = facts.status, facts.coverage
    for name in ("found", "ingested", "duplicates", "known", "exported_samples"):
        yield ("Overview", "images", name.replace("_", " ")), getattr(status, name)
    for reason, n in status.quarantined.items():
        yield ("Overview", "quarantined", reason), n
    for target in VERDICT_TARGETS:
        of = target.replace("_", " ")
        yield ("Overview", of, "kept"), coverage.kept[target]
        for reason, n in sorted(coverage.dropped[target].items()):
            yield ("Overview", of, f"dropped: {reason}"), n
    for page, figures in (("Annotation statistics", coverage.table2), ("Semantic coverage", coverage.table3)):
        for f in figures:
            yield (page, f"{f.family} {f.text}".replace("_", " "), f.figure.replace("_", " ")), f.ours
    for kind in KINDS:
        found = richness(select(facts.vocabulary.spectrum, kind=kind, family=""))
        yield ("Semantic coverage", kind.replace("_", " "), "different"), found.distinct
        yield ("Semantic coverage", kind.replace("_", " "), "entropy, bits"), round(found.entropy_bits, 4)


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
