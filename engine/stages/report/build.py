"""From a root's merged aggregates to what the pages of its report are made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from fld_engine.engine.data.status import StatusReport
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.protocols import KeepsLow, OfScore
from fld_engine.engine.stages.coverage.report import report as coverage_report
from fld_engine.engine.stages.report.pages.facts import Facts, Specialist
from fld_engine.engine.stages.report.stage import RootReport


def facts_of(
    found: RootReport,
    status: StatusReport,
    runs: Sequence[Mapping[str, Any]],
    *,
    about: str = "",
    words: Sequence[str] = (),
    words_name: str = "",
    words_floor: int = 10,
) -> Facts:
    """What pages are made from. `status` is where the root stands, `runs` are the attempts of its `run.json` by age."""
    plan = found.plan
    counts = found.merged.counts
    images = counts.filter(pc.equal(counts["measure"], "images"))
    return Facts(
        plan=plan,
        root=plan.store.url,
        about=about,
        config=plan.config.name,
        coverage=coverage_report(found.coverage),
        status=status,
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


def _filters(plan: Plan) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "target": judge.target,
            "params": judge.params.model_dump(mode="json"),
            "keeps_low": isinstance(judge, KeepsLow) and judge.keeps_low,
            "of_score": isinstance(judge, OfScore) and judge.of_score,
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
