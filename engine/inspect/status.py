"""Where a root stands, as its stages tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.stages import Tells
from fld_engine.engine.stages.annotate.stage import StepStatus
from fld_engine.schemas.annotations import Frozen


class StatusReport(Frozen):
    """found = ingested + duplicates + known + quarantined. `kept` and `dropped` (by reason) go by verdict target.

    `removed` images of those that were ingested are gone. `more` is what stages of other packages tell, by stage.
    """

    found: int
    ingested: int
    duplicates: int
    known: int
    removed: int
    quarantined: Mapping[str, int]
    rejected_annotations: Mapping[str, int]
    partitions: int
    annotated: Mapping[str, StepStatus]
    kept: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    exported_samples: int
    exported_shards: int
    complete: bool
    more: Mapping[str, Any] = Field(default_factory=dict)


def read_status(plan: Plan, journal: Sequence[IngestRecord]) -> StatusReport:
    """Read records and aggregates alone; no annotation table is opened, no source is listed."""
    known: dict[str, Any] = {}
    more: dict[str, Any] = {}
    for stage in installed_stages():
        if isinstance(stage, Tells):
            told = stage.status(plan, journal).model_dump()
            if told.keys() <= StatusReport.model_fields.keys():
                known |= told
            else:
                more[stage.name] = told
    missing = any(plan.missing(step) for step in plan.steps)
    return StatusReport(**known, complete=not missing and bool(known["exported_shards"]), more=more)
