"""Overview: what was found and what became of it, who annotated, and how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from fld_engine.engine.data.source_account import rows_of
from fld_engine.engine.stages.report.model import Card, Chart, Data, Page, Row, Section, TableBlock, bars
from fld_engine.engine.stages.report.pages.facts import Facts, share
from fld_engine.schemas.tables import VERDICT_TARGETS

NAMES = {
    "images": "images", "texts": "texts", "regions": "regions", "region_texts": "region texts", "phrases": "phrases",
    "phrase_regions": "phrase boxes",
}  # fmt: skip


class Overview:
    """The page `index.html`."""

    order: ClassVar[int] = 1

    def render(self, facts: Facts) -> Page:
        status, coverage = facts.status, facts.coverage
        cards = [
            Card("images kept", coverage.kept["images"], "kept", f"of {status.found} found"),
            *(Card(NAMES[t], coverage.kept[t], "kept") for t in ("texts", "regions", "phrases", "phrase_regions")),
            Card("samples exported", status.exported_samples, "funnel", f"{status.exported_shards} shards"),
        ]
        sections = [
            Section("From sources to samples", "", [_funnel(facts), _sources(facts)]),
            Section("What is in the sources", "", [_accounts(facts)], wide=True),
            Section("Families at a glance", "As the paper's Table 2 counts them.", [_families(facts)], wide=True),
            Section("What was dropped, and why", "", [_kept(facts), _reasons(facts)]),
            Section("Specialists", "", [_specialists(facts)], wide=True),
            Section("Time", "", [_stages(facts)]),
            Section("Runs", "", [_runs(facts)], wide=True),
        ]
        lead = f"Root {facts.name}; config {facts.config}; {status.partitions} partitions."
        return Page("index", "Overview", lead, sections, cards)

    def data(self, facts: Facts) -> Sequence[Data]:
        return merged_tables(facts)


def merged_tables(facts: Facts) -> list[Data]:
    """The merged aggregates as they are."""
    found = []
    for name, table in (("counts", facts.counts), *facts.vocabulary._asdict().items()):
        columns = tuple(table.column_names)
        rows = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
        found.append(Data(f"merged-{name}", columns, rows))
    return found


def _funnel(facts: Facts) -> Chart:
    status, kept = facts.status, facts.coverage.kept["images"]
    quarantined = sum(status.quarantined.values())
    done = max((step.done for step in status.annotated.values()), default=0)
    steps = {
        "found": status.found,
        "duplicates": status.duplicates + status.known,
        "quarantined": quarantined,
        "ingested": status.ingested,
        "annotated": done,
        "kept": kept,
        "exported": status.exported_samples,
    }
    chart = bars(
        "Images, step by step", "funnel", "funnel",
        [f"{name} {n / status.found:.0%}" if status.found else name for name, n in steps.items()],
        {"images": list(steps.values())},
        xlabel="step", ylabel="images", kind="rows",
    )  # fmt: skip
    rows: list[Row] = [(name, number, share(number, status.found)) for name, number in steps.items()]
    return Chart(
        chart.title, chart.definition, chart.spec, Data("funnel", ("step", "images", "share"), rows), chart.alt
    )


def _sources(facts: Facts) -> TableBlock:
    total = sum(facts.sources.values())
    rows: list[Row] = [(name, n, share(n, total)) for name, n in sorted(facts.sources.items())]
    return TableBlock("Images by source", "funnel", Data("sources", ("source", "images", "share"), rows))


def _accounts(facts: Facts) -> TableBlock:
    columns = ("source", "what", "seen", "read", "refused", "passed over", "why")
    rows: list[Row] = [tuple(row) for row in rows_of(facts.status.sources)]
    return TableBlock("Sources, by what is in them", "account", Data("accounts", columns, rows))


def _families(facts: Facts) -> TableBlock:
    """Annotations and regions of each family and text, this dataset's beside FLD-5B's; nothing on both sides is out."""
    groups = dict.fromkeys((f.family, f.text) for f in facts.coverage.table2)
    rows: list[Row] = []
    for family, text in groups:
        found = {f.figure: f for f in facts.coverage.table2 if (f.family, f.text) == (family, text)}
        cells = [found.get(figure) for figure in ("annotations", "regions")]
        values = [value for f in cells for value in ((f.ours, f.reference) if f else (None, None))]
        if any(values):
            rows.append((family, text.replace("_", " "), *values))
    columns = ("family", "text", "image annotations", "FLD-5B's annotations", "regions", "FLD-5B's regions")
    defined = {"image annotations": "annotation", "regions": "region", "phrase-region, derived": "derived"}
    return TableBlock("Annotation families", "annotation", Data("families", columns, rows), defined)


def _kept(facts: Facts) -> Chart:
    kept, dropped = facts.coverage.kept, facts.coverage.dropped
    numbers = {t: (kept[t], sum(dropped[t].values())) for t in VERDICT_TARGETS}
    shares = {t: (share(k, k + d) or 0.0, share(d, k + d) or 0.0) for t, (k, d) in numbers.items()}
    names = [NAMES[t] for t in VERDICT_TARGETS]
    chart = bars(
        "Kept and dropped, shares", "kept", "kept", names,
        {"kept": [shares[t][0] for t in VERDICT_TARGETS], "dropped": [shares[t][1] for t in VERDICT_TARGETS]},
        xlabel="target", ylabel="share", stack=True, kind="rows",
    )  # fmt: skip
    rows: list[Row] = [(NAMES[t], k, d, share(k, k + d)) for t, (k, d) in numbers.items()]
    data = Data("kept", ("target", "kept", "dropped", "share kept"), rows)
    return Chart(chart.title, chart.definition, chart.spec, data, chart.alt)


def _reasons(facts: Facts) -> TableBlock:
    found = facts.status.found
    quarantined = sorted(facts.status.quarantined.items(), key=lambda item: (-item[1], item[0]))
    rows: list[Row] = [("found items", f"quarantined: {reason}", n, share(n, found)) for reason, n in quarantined]
    for target in VERDICT_TARGETS:
        reasons = facts.coverage.dropped[target]
        total = facts.coverage.kept[target] + sum(reasons.values())
        rows += [
            (NAMES[target], reason, n, share(n, total))
            for reason, n in sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        ]
    data = Data("reasons", ("target", "reason", "dropped", "share of target"), rows)
    return TableBlock("Reasons", "reason", data)


def _specialists(facts: Facts) -> TableBlock:
    columns = (
        "specialist", "adapter", "model", "revision", "version", "licence", "done", "failed", "not run", "missing",
        "images a second",
    )  # fmt: skip
    rows: list[Row] = []
    for s in facts.specialists:
        step = facts.status.annotated[s.name]
        counts = (step.done, step.failed, step.not_run, step.missing)
        rows.append((s.name, s.use, s.model, s.revision, s.version, s.licence, *counts, s.images_per_s))
    return TableBlock("Specialists and versions", "specialist", Data("specialists", columns, rows))


def _stages(facts: Facts) -> Chart:
    """Seconds of each stage over all runs, and the images of the root by them."""
    total: Counter[str] = Counter()
    for run in facts.runs:
        total.update({stage: float(s) for stage, s in _summary(run).get("seconds", {}).items()})
    seconds = {stage: round(s, 2) for stage, s in total.items()}
    chart = bars(
        "Seconds by stage, all runs", "stage", "stages", list(seconds) or ["no run"],
        {"seconds": list(seconds.values()) or [0]}, xlabel="stage", ylabel="seconds", kind="rows",
    )  # fmt: skip
    images = facts.status.ingested
    rows: list[Row] = [(stage, s, round(images / s, 3) if s else None) for stage, s in seconds.items()]
    data = Data("stages", ("stage", "seconds", "images a second"), rows)
    return Chart(chart.title, chart.definition, chart.spec, data, chart.alt)


def _runs(facts: Facts) -> TableBlock:
    columns = ("run", "runner", "ingested", "images read", "models loaded", "outputs", "seconds")
    rows: list[Row] = []
    for number, run in enumerate(facts.runs, start=1):
        summary = _summary(run)
        keys = ("runner", "ingested", "images_read", "models_loaded", "outputs_written")
        seconds = round(sum(summary.get("seconds", {}).values()), 1)
        rows.append((number, *(summary.get(key) for key in keys), seconds))
    return TableBlock("Runs", "run", Data("runs", columns, rows))


def _summary(run: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = run.get("summary", {})
    return found
