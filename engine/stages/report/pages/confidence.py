"""Agreement and confidence: scores with bounds drawn, a slider over counts, agreement, precision by score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from fld_engine.engine.stages.report.agreement import CALIBRATION_BINS, FOUND, HIT, MISS, MISSED, OTHER, SAME
from fld_engine.engine.stages.report.bins import IOU_BINS, SCORE_BINS, value_edge
from fld_engine.engine.stages.report.model import Chart, Data, Page, Row, Section, TableBlock, bars, slug
from fld_engine.engine.stages.report.pages.facts import Facts, dense, share
from fld_engine.engine.stages.report.scores import DROPPED, DROPPED_HERE, DROPPED_LATER, KEPT
from fld_engine.schemas.origins import Origin
from fld_engine.schemas.tables import VERDICT_TARGETS


class Confidence:
    """The page `confidence.html`."""

    order: ClassVar[int] = 5

    def render(self, facts: Facts) -> Page:
        sliders = list(thresholds(facts))
        columns = ("filter", "of", "bound", "keeps", "value edge", KEPT, "dropped here", "dropped later")
        rows: list[Row] = [
            (s["filter"], s["of"], s["bound"], s["keeps"], edge, k, h, later)
            for s in sliders
            for edge, k, h, later in zip(s["edges"], s[KEPT], s[DROPPED_HERE], s[DROPPED_LATER], strict=True)
        ]
        widget = Section(
            "What moving a bound would keep",
            "Choose a filter and move its bound. Counts are precomputed; nothing is run.",
            [TableBlock("Values of all filters", "value", Data("thresholds", columns, rows))],
            widget="thresholds",
            data=sliders,
            wide=True,
        )
        sections = [widget, Section("Scores by specialist", "Bounds of the filters are drawn.", list(_scores(facts)))]
        pairs = list(_agreement(facts))
        sections.append(Section("Agreement between specialists", _agreement_text(facts), pairs))
        sections.append(Section("Against human labels", _calibration_text(facts), list(_calibration(facts))))
        sections.append(Section("Drop reasons by specialist", "", [_reasons(facts)]))
        lead = "How sure specialists are, how far they agree, and what the filters made of it."
        return Page(
            "confidence",
            "Agreement and confidence",
            lead,
            sections,
            payload={"thresholds": sliders},
            script="thresholds",
        )

    def data(self, facts: Facts) -> Sequence[Data]:
        return ()


def thresholds(facts: Facts) -> Iterator[dict[str, Any]]:
    """One entry for each filter and group it judges: its bound, its side, and counts by the bins that `edges` pass."""
    for judged in facts.groups("value"):
        target, _, group = judged.partition("/")
        for name in facts.makers("value", judged):
            columns = {label: facts.bins("value", judged, name, label) for label in (KEPT, DROPPED_HERE, DROPPED_LATER)}
            bins = sorted({i for column in columns.values() for i in column})
            described = facts.filters.get(name, {})
            keeps_low = bool(described.get("keeps_low"))
            yield {
                "filter": name,
                "of": f"{target.replace('_', ' ')} / {group.replace('_', ' ')}",
                "keeps": "low" if keeps_low else "high",
                "bound": next(iter(bounds_of(described.get("params", {}), group, _kinds(facts, target, group))), None),
                "edges": [value_edge(i, keeps_low=keeps_low) for i in bins],
                **{label: [column.get(i, 0) for i in bins] for label, column in columns.items()},
            }


def bounds_of(params: Mapping[str, Any], group: str, kinds: Sequence[str]) -> list[float]:
    """The bounds that a filter's parameters set for a granularity or a specialist, the one for most rows first.

    That of a parameter of the group's name comes before those of the kinds of regions that a specialist draws, the most
    frequent first, and these before the first number of all. Bounds of single classes are none of a group's.
    """
    of_annotator = params.get("annotators", {})
    named = of_annotator.get(group) if isinstance(of_annotator, Mapping) else None
    own = params.get(group) if named is None else named
    if isinstance(own, int | float):
        return [float(own)]
    parameters = [{"object": "objects", "text": "scene_text"}.get(kind, kind) for kind in kinds]
    of_kinds = [float(params[name]) for name in parameters if isinstance(params.get(name), int | float)]
    numbers = [float(v) for v in params.values() if isinstance(v, int | float) and not isinstance(v, bool)]
    return of_kinds or numbers[:1]


def _kinds(facts: Facts, target: str, by: str) -> list[str]:
    """Kinds of regions that a specialist draws, the most frequent first."""
    counts = facts.labels("kind", target, by) if target == "regions" else {}
    return sorted(counts, key=lambda kind: (-counts[kind], kind))


def _scores(facts: Facts) -> Iterator[Chart]:
    for target in VERDICT_TARGETS[1:]:
        for by in facts.makers("score", target):
            series = {label: dense(facts.bins("score", target, by, label), SCORE_BINS) for label in (KEPT, DROPPED)}
            what = target.replace("_", " ")
            yield bars(
                f"{by}: scores of {what}", "score", slug("scores", target, by),
                [f"{i / SCORE_BINS:.2f}" for i in range(SCORE_BINS)], series, xlabel="score from", ylabel=what,
                stack=True, marks=_marks(facts, target, by),
            )  # fmt: skip


def _marks(facts: Facts, target: str, by: str) -> Sequence[Mapping[str, Any]]:
    """Bounds of the filters that decide on the score of a target; none for people, whose rows pass every filter."""
    found: dict[float, str] = {}
    for name, described in facts.filters.items():
        if described.get("target") == target and described.get("of_score") and by != Origin.HUMAN:
            for bound in bounds_of(described.get("params", {}), by, _kinds(facts, target, by)):
                if 0 <= bound < 1:
                    found.setdefault(bound, f"{name} {bound:g}")
    return [{"at": round(bound * SCORE_BINS), "label": label} for bound, label in sorted(found.items())]


def _agreement(facts: Facts) -> Iterator[Chart | TableBlock]:
    rows: list[Row] = []
    charts = []
    for pair in facts.makers("agreement", "region-text"):
        if facts.bins("agreement", "region-text", pair, "derived"):
            rows.append((pair, None, None, None, "derived: not compared"))
            continue
        columns = {
            label: dense(facts.bins("agreement", "region-text", pair, label), IOU_BINS) for label in (SAME, OTHER)
        }
        total = sum(map(sum, columns.values()))
        place = sum(sum(values[IOU_BINS // 2 :]) for values in columns.values())
        both = sum(columns[SAME][IOU_BINS // 2 :])
        rows.append((pair, total, share(place, total), share(both, total), "compared"))
        x = [f"{i / IOU_BINS:g}" for i in range(IOU_BINS)]
        charts.append(
            bars(f"{pair}: best IoU", "agreement", slug("agreement", pair), x, columns,
                 xlabel="best IoU from", ylabel="regions", stack=True)
        )  # fmt: skip
    columns_ = ("first × second", "regions", "share IoU ≥ 0.5", "share same label", "state")
    yield TableBlock("Pairs", "agreement", Data("agreement", columns_, rows))
    yield from charts


def _agreement_text(facts: Facts) -> str:
    if facts.makers("agreement", "region-text"):
        return "Each pair is read both ways."
    return "No two specialists drew regions on the same images: nothing to compare."


def _calibration(facts: Facts) -> Iterator[Chart | TableBlock]:
    rows: list[Row] = []
    for group in facts.groups("calibration"):
        for by in facts.makers("calibration", group):
            hit = dense(facts.bins("calibration", group, by, HIT), CALIBRATION_BINS)
            miss = dense(facts.bins("calibration", group, by, MISS), CALIBRATION_BINS)
            found = sum(facts.bins("calibration", group, by, FOUND).values())
            missed = sum(facts.bins("calibration", group, by, MISSED).values())
            rows.append((by, group, sum(hit) + sum(miss), share(sum(hit), sum(hit) + sum(miss)), found + missed,
                         share(found, found + missed)))  # fmt: skip
            precision = [share(h, h + m) or 0.0 for h, m in zip(hit, miss, strict=True)]
            middles = [(i + 0.5) / CALIBRATION_BINS for i in range(CALIBRATION_BINS)]
            chart = bars(
                f"{by}: precision by score, {group} labels", "calibration", slug("calibration", group, by),
                [f"{i / CALIBRATION_BINS:g}" for i in range(CALIBRATION_BINS)],
                {"precision": precision, "calibrated": middles}, xlabel="score from", ylabel="precision",
                kind="calibration",
            )  # fmt: skip
            columns = ("score from", "hits", "misses", "precision")
            bins: list[Row] = [
                (i / CALIBRATION_BINS, h, m, share(h, h + m)) for i, (h, m) in enumerate(zip(hit, miss, strict=True))
            ]
            yield Chart(chart.title, chart.definition, chart.spec, Data(chart.id, columns, bins), chart.alt)
    columns_ = ("specialist", "labels", "regions", "precision", "human regions", "recall")
    if rows:
        yield TableBlock("Precision and recall, all scores", "calibration", Data("calibration", columns_, rows))


def _calibration_text(facts: Facts) -> str:
    if facts.groups("calibration"):
        return (
            "Gold labels are those of images kept as the reference, human ones those that come with ordinary sources."
        )
    return "No source of this root has human regions: precision and calibration cannot be measured."


def _reasons(facts: Facts) -> TableBlock:
    rows: list[Row] = []
    for target in VERDICT_TARGETS:
        for by in facts.makers("verdict", target):
            counts = facts.labels("verdict", target, by)
            total = sum(counts.values())
            rows += [(target.replace("_", " "), by, reason, n, share(n, total)) for reason, n in sorted(counts.items())]
    data = Data("verdicts", ("target", "specialist", "verdict", "annotations", "share"), rows)
    return TableBlock("Verdicts", "reason", data)
