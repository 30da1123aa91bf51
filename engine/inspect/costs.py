"""What a root has cost, by specialist and in all, and what that is for each annotation that is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.compute as pc
from pydantic import Field

from fld_engine.engine.data.costs import Cost, Costs, add_costs
from fld_engine.engine.data.partition import read_output
from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.stages.report.merge import STAGE as REPORT
from fld_engine.engine.stages.report.scores import KEPT
from fld_engine.schemas.annotations import Frozen


class PerKept(Frozen):
    """Costs divided by the number of kept annotations."""

    gpu_s: float
    cpu_s: float
    questions: float
    requests: float
    num_bytes: float


class CostLine(Frozen):
    """What one specialist, or all work, cost; `cost` is None where none of it was measured, as before version 0.2.

    `images` are those of its outputs under this config, of which `unmeasured` were made when nothing was measured, or
    by a run that was killed. `kept` annotations are None where no report has counted them. `per_kept` is None where
    costs or annotations are not known in full, or nothing is kept.
    """

    cost: Cost | None
    images: int = 0
    unmeasured: int = 0
    kept: int | None = None
    per_kept: PerKept | None = None


class CostReport(Frozen):
    """Costs of all runs of a root, whatever config they had and whatever came of them.

    `stages` are costs of no specialist: of the other stages, and of attempts that came to nothing.
    """

    specialists: Mapping[str, CostLine] = Field(default_factory=dict)
    stages: Mapping[str, Cost] = Field(default_factory=dict)
    total: CostLine


def read_costs(plan: Plan, runs: Sequence[Mapping[str, Any]]) -> CostReport:
    """Costs from the attempts in a root's `run.json`, and kept annotations from the aggregates of its report."""
    costs = add_costs(
        Costs.model_validate(measured) for run in runs if (measured := run.get("summary", {}).get("costs")) is not None
    )
    kept = _kept(plan)
    names = [*plan.graph.order, *(name for name in costs.specialists if name not in plan.graph.order)]
    lines = {
        name: _line(
            costs.specialists.get(name),
            _num_images(plan, name) if name in plan.graph.order else 0,
            None if kept is None else kept[name],
        )
        for name in names
    }
    total = costs.total()
    num_kept = None if kept is None else sum(kept[name] for name in lines)
    whole = not any(line.unmeasured for line in lines.values())
    return CostReport(
        specialists=lines,
        stages=costs.stages,
        total=CostLine(
            cost=total if costs != Costs() else None,
            images=max((line.images for line in lines.values()), default=0),
            unmeasured=max((line.unmeasured for line in lines.values()), default=0),
            kept=num_kept,
            per_kept=_per_kept(total, num_kept) if whole and costs != Costs() else None,
        ),
    )


def _line(cost: Cost | None, images: int, kept: int | None) -> CostLine:
    unmeasured = max(0, images - cost.images) if cost else images
    per_kept = _per_kept(cost, kept) if cost and not unmeasured else None
    return CostLine(cost=cost, images=images, unmeasured=unmeasured, kept=kept, per_kept=per_kept)


def _per_kept(cost: Cost, kept: int | None) -> PerKept | None:
    if not kept:
        return None
    return PerKept(
        gpu_s=cost.gpu_s / kept,
        cpu_s=cost.cpu_s / kept,
        questions=cost.questions / kept,
        requests=cost.requests / kept,
        num_bytes=(cost.read_bytes + cost.written_bytes) / kept,
    )


def _num_images(plan: Plan, step: str) -> int:
    """Images of the partitions that have an output of a step."""
    missing = {record.id for record in plan.missing(step)}
    return sum(record.num_images for record in plan.partitions if record.id not in missing)


def _kept(plan: Plan) -> Counter[str] | None:
    """Specialist → kept annotations of all kinds on images that are not gold; None where a partition is not counted."""
    if plan.missing(REPORT):
        return None
    kept: Counter[str] = Counter()
    for record in plan.partitions:
        output: OutputRecord = read_output(plan.store, REPORT, record.id, plan.fingerprints[REPORT, record.id])
        counts = plan.store.read_table(output.files["counts"].path, ["measure", "family", "by", "label", "count"])
        mine = pc.and_(pc.equal(counts["measure"], "verdict"), pc.equal(counts["label"], KEPT))
        for row in counts.filter(pc.and_(mine, pc.not_equal(counts["family"], "images"))).to_pylist():
            kept[row["by"]] += row["count"]
    return kept
