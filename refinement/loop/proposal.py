"""What the annotators of the config would make of labels that a round proposes, before anyone decides about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from fld_engine.engine.data.partition import load_view
from fld_engine.engine.plan.rounds import RoundRecord, plan_of_labels
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.refinement.labels.dependents import Dependents, dependents_of
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.loop.round_files import RoundFiles
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.tables import VERDICT_TARGETS


@dataclass(frozen=True, slots=True)
class Proposal:
    """Round `number`, made of the labels of `before`: a `DependentsAfter` of `gate.gating`.

    The labels of the images in question stand in partitions of their own, where parse, groundings and masks are made
    of them on the runner of the root, and judged by its filters, exactly as after a round.
    """

    pipeline: Pipeline
    files: RoundFiles
    number: int
    before: RoundRecord
    source: Source

    def __call__(self, ids: Sequence[str], edits: Sequence[Edit]) -> Mapping[str, Dependents]:
        name = "proposed" if edits else "unchanged"
        wanted = pa.array(ids, pa.string())
        drafts = (
            self.files.draft(self.number, name, partition, wanted, edits, self.source)
            for partition in self.before.partitions
        )
        records = [record for record in drafts if record is not None]
        plan = plan_of_labels(self.pipeline.store, self.pipeline.config, records)
        self.pipeline.complete(plan, Annotate())
        self.pipeline.record(plan.lanes(Filter()))
        found: dict[str, Dependents] = {}
        for record in records:
            view = load_view(self.pipeline.store, record, committed(plan, record))
            kept = {
                table: rows.filter(view.verdicts[table]["kept"]) if table in VERDICT_TARGETS else rows
                for table, rows in view.annotations.items()
            }
            found |= dependents_of(kept)
        return found
