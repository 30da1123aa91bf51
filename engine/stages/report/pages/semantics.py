"""Semantic coverage: Table 3, distributions of elements, tags and relations, the vocabulary, and a user's word list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import pyarrow.compute as pc

from fld_engine.engine.stages.report.bins import COMPLEXITY_BINS, COMPLEXITY_STEP, COUNT_BINS
from fld_engine.engine.stages.report.model import Chart, Data, Page, Row, Section, TableBlock, bars, slug
from fld_engine.engine.stages.report.pages.annotations import figures_block
from fld_engine.engine.stages.report.pages.facts import Facts, dense, share, trimmed
from fld_engine.engine.stages.report.tables import KINDS, select
from fld_engine.engine.stages.report.vocabulary import ALL, GROWTH_BINS, richness
from fld_engine.engine.stages.report.wordlist import word_coverage
from fld_engine.schemas.annotations import GRANULARITIES

SHOWN = 30
NAMES = {
    "noun": "nouns", "verb": "verbs", "adjective": "adjectives", "proper_noun": "proper nouns",
    "adjective_noun": "adjectives with their noun", "subject_verb_object": "subject, verb, object",
    "caption": "captions", "class": "classes of regions",
}  # fmt: skip


class Semantics:
    """The page `semantics.html`."""

    order: ClassVar[int] = 3

    def render(self, facts: Facts) -> Page:
        sections = [
            Section(
                "Table 3, for this dataset",
                "Averages per parsed text, beside FLD-5B's.",
                [figures_block("Semantic coverage", "objects", "table3", facts.coverage.table3)],
                wide=True,
            ),
            Section("Elements per text", "The distributions behind the averages.", list(_elements(facts))),
            Section("Parts of speech and relations", "", [_shares(facts, "pos"), _shares(facts, "relation")]),
            Section("Vocabulary", "", [_richness(facts), _growth(facts)], wide=True),
            Section("Most frequent terms", "", list(_terms(facts, "top"))),
            Section(
                "Rarest terms", "Where the long tail ends; each is in the gallery's reach.", list(_terms(facts, "rare"))
            ),
        ]
        if facts.words:
            sections.insert(4, _words(facts))
        lead = "What the texts talk about, and how richly."
        return Page("semantics", "Semantic coverage", lead, sections)

    def data(self, facts: Facts) -> Sequence[Data]:
        return ()


def _elements(facts: Facts) -> Iterator[Chart]:
    for measure in ("objects", "attributes", "actions", "proper_nouns"):
        series = {_spaced(g): dense(facts.bins(measure, g), COUNT_BINS) for g in GRANULARITIES}
        _, high = trimmed(series)
        x = [f"{i}+" if i == COUNT_BINS - 1 else str(i) for i in range(high)]
        cut = {g: values[:high] for g, values in series.items()}
        yield bars(f"{_spaced(measure).capitalize()} per text", measure, slug(measure, "per text"), x, cut,
                   xlabel=_spaced(measure), ylabel="texts")  # fmt: skip
    for name in ("object", "action", "attribute"):
        measure = f"{name}_complexity"
        series = {_spaced(g): dense(facts.bins(measure, g), COMPLEXITY_BINS) for g in GRANULARITIES}
        _, high = trimmed(series)
        x = [f"{i * COMPLEXITY_STEP:g}" for i in range(high)]
        cut = {g: values[:high] for g, values in series.items()}
        yield bars(f"{name.capitalize()} complexity", "complexity", slug(measure), x, cut,
                   xlabel="complexity from", ylabel="texts")  # fmt: skip


def _shares(facts: Facts, measure: str) -> Chart:
    title = {"pos": "Parts of speech", "relation": "Dependency relations"}[measure]
    by_text = {g: facts.labels(measure, g) for g in GRANULARITIES}
    total = {label: sum(c.get(label, 0) for c in by_text.values()) for c in by_text.values() for label in c}
    labels = sorted(total, key=lambda label: (-total[label], label))[:40] or ["none"]
    series = {
        _spaced(g): [share(c.get(label, 0), sum(c.values())) or 0.0 for label in labels] for g, c in by_text.items()
    }
    return bars(title, measure, slug(title), labels, series, xlabel="tag", ylabel="share of tokens", kind="rows")


def _richness(facts: Facts) -> TableBlock:
    rows: list[Row] = []
    for kind in KINDS:
        of_kind = select(facts.vocabulary.spectrum, kind=kind)
        for group in sorted(pc.unique(of_kind["family"]).to_pylist()):
            found = richness(select(of_kind, family=group))
            repeated = share(found.total - found.distinct, found.total) if kind == "caption" else None
            rows.append((NAMES[kind], _spaced(group) or "all", found.distinct, found.total, found.once,
                         round(found.entropy_bits, 4), repeated))  # fmt: skip
    columns = ("terms", "of", "different", "occurrences", "once", "entropy, bits", "share duplicates")
    defined = {"entropy, bits": "entropy", "share duplicates": "duplicates", "terms": "vocabulary"}
    return TableBlock("Vocabulary, entropy and duplicates", "vocabulary", Data("vocabulary", columns, rows), defined)


def _growth(facts: Facts) -> Chart:
    kinds = ("noun", "verb", "adjective", "adjective_noun", "class")
    series = {}
    for kind in kinds:
        bins = _bins(facts, kind)
        running, values = 0, [0]
        for i in range(GROWTH_BINS):
            running += bins.get(i, 0)
            values.append(running)
        if running:
            series[NAMES[kind]] = values
    x = [f"{i / GROWTH_BINS:.0%}" for i in range(GROWTH_BINS + 1)]
    return bars("Vocabulary growth", "growth", "vocabulary-growth", x, series or {"nouns": [0] * (GROWTH_BINS + 1)},
                xlabel="images", ylabel="different terms", kind="line")  # fmt: skip


def _bins(facts: Facts, kind: str) -> Mapping[int, int]:
    rows = select(facts.vocabulary.growth, kind=kind, family=ALL)
    return dict(zip(rows["bin"].to_pylist(), rows["terms"].to_pylist(), strict=True))


def _terms(facts: Facts, which: str) -> Iterator[TableBlock]:
    table = facts.vocabulary.top if which == "top" else facts.vocabulary.rare
    for kind in KINDS:
        order = "descending" if which == "top" else "ascending"
        rows_of = select(table, kind=kind, family=ALL).sort_by([("count", order), ("term", "ascending")])
        rows: list[Row] = [
            (row["term"], row["count"], row["first"].partition("/")[0]) for row in rows_of.slice(0, SHOWN).to_pylist()
        ]
        if rows:
            data = Data(slug(which, NAMES[kind]), ("term", "occurrences", "an image"), rows)
            yield TableBlock(f"{'Top' if which == 'top' else 'Rare'} {NAMES[kind]}", "vocabulary", data)


def _words(facts: Facts) -> Section:
    found = word_coverage(facts.vocabulary.wanted, facts.words, facts.sources, facts.words_floor)
    columns = ("word", "regions", "dropped regions", "mentions", "state", "best source", "because of")
    order = {"absent": 0, "under the floor": 1, "covered": 2}
    found.sort(key=lambda w: (order[w.state], w.regions, w.word))
    rows: list[Row] = [tuple(w) for w in found]
    states = {state: sum(w.state == state for w in found) for state in order}
    numbers = {"words": list(states.values())}
    chart = bars(f"Words of {facts.words_name}", "words", "word-list-states", list(states), numbers,
                 xlabel="state", ylabel="words", kind="rows")  # fmt: skip
    text = (
        f"{len(rows)} words of {facts.words_name}: {states['covered']} covered, {states['under the floor']} with fewer "
        f"than {facts.words_floor} regions, {states['absent']} absent."
    )
    block = TableBlock("Word by word", "words", Data("word-list", columns, rows))
    return Section("Coverage of a word list", text, [chart, block], wide=True)


def _spaced(name: str) -> str:
    return name.replace("_", " ")
