"""From a root's merged aggregates to the pages of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.protocols import keeps_low, of_score
from fld_engine.engine.stages.coverage.report import report as coverage_report
from fld_engine.engine.stages.report.model import Data, Page
from fld_engine.engine.stages.report.pages.annotations import statistics
from fld_engine.engine.stages.report.pages.confidence import confidence
from fld_engine.engine.stages.report.pages.facts import Facts, Specialist
from fld_engine.engine.stages.report.pages.gallery import gallery
from fld_engine.engine.stages.report.pages.overview import overview
from fld_engine.engine.stages.report.pages.semantics import semantics
from fld_engine.engine.stages.report.pages.spatial import spatial
from fld_engine.engine.stages.report.render import write_data
from fld_engine.engine.stages.report.stage import RootReport


def facts_of(
    found: RootReport,
    journal: list[IngestRecord],
    runs: Sequence[Mapping[str, Any]],
    *,
    about: str = "",
    words: Sequence[str] = (),
    words_name: str = "",
    words_floor: int = 10,
) -> Facts:
    """What pages are made from. `runs` are the attempts of the root's `run.json`, oldest first."""
    plan = found.plan
    counts = found.merged.counts
    images = counts.filter([name == "images" for name in counts["measure"].to_pylist()])
    return Facts(
        root=plan.store.url,
        about=about,
        config=plan.config.name,
        coverage=coverage_report(found.coverage),
        status=read_status(plan, journal),
        counts=counts,
        vocabulary=found.merged.vocabulary,
        gallery=found.gallery,
        specialists=_specialists(plan, runs),
        filters=_filters(plan),
        sources=dict(zip(images["by"].to_pylist(), images["count"].to_pylist(), strict=True)),
        runs=runs,
        words=words,
        words_name=words_name,
        words_floor=words_floor,
    )


def pages_of(facts: Facts) -> list[Page]:
    """The pages of one root, in the order of their links."""
    makers = (overview, statistics, semantics, spatial, confidence, gallery)
    return [make(facts) for make in makers]


def write_tables(store: Store, folder: str, facts: Facts) -> list[str]:
    """The merged aggregates as they are, beside the tables of the pages; returns their names."""
    vocabulary = facts.vocabulary
    names = []
    for name, table in (("counts", facts.counts), *vocabulary._asdict().items()):
        columns = tuple(table.column_names)
        rows = list(zip(*(table[column].to_pylist() for column in columns), strict=True))
        write_data(store, folder, Data(f"merged-{name}", columns, rows))
        names.append(f"merged-{name}")
    return names


def _filters(plan: Plan) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "target": judge.target,
            "params": judge.params.model_dump(mode="json"),
            "keeps_low": keeps_low(judge),
            "of_score": of_score(judge),
        }
        for name, judge in plan.filters.items()
    }


def _specialists(plan: Plan, runs: Sequence[Mapping[str, Any]]) -> list[Specialist]:
    rates: dict[str, float] = {}
    for run in runs:
        rates |= run.get("summary", {}).get("images_per_s", {})
    found = []
    for name in plan.graph.order:
        annotator = plan.annotators[name]
        found.append(
            Specialist(
                name=name,
                use=plan.config.annotators[name].use or name,
                model=annotator.model.id,
                revision=annotator.model.revision,
                version=annotator.version,
                licence=annotator.model.licence,
                images_per_s=rates.get(name),
            )
        )
    return found
