"""Where a root stands, as its stages tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.data.status import StatusReport
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.stages import Tells


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
    missing = bool(known["unread"]) or any(plan.missing(step) for step in plan.steps)
    return StatusReport(**known, complete=not missing and bool(known["exported_shards"]), more=more)
