"""What `fld plan` says: what a run would do, and how long it would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.store import ROOT_FILE
from fld_engine.engine.plan.estimate import LaneEstimate, estimate
from fld_engine.engine.plan.libraries import tell_of_libraries
from fld_engine.engine.plan.plan import Plan, Steps
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.registry import pin, stages_of_run
from fld_engine.engine.stages.ingest.ingest import new_chunks
from fld_engine.flows.estimates import (
    Measured,
    estimate_table,
    measure,
    notes_of_estimate,
    number_of,
    this_machine,
    training_estimates,
    training_table,
)
from fld_engine.flows.options import plan_of_root
from fld_engine.flows.rates import Rate, rates_for
from fld_engine.flows.start import Begun, lines_about
from fld_engine.flows.terminal import tell, work_set_note

if TYPE_CHECKING:
    from fld_engine.refinement.training.estimate import TrainingEstimate


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a run would find missing: images by step, chunks of sources, and stages over the whole root, `to_write`."""

    begun: Begun
    plan: Plan
    chunks: int
    images: int
    missing: Mapping[str, int]
    to_write: Sequence[str]
    rates: Mapping[str, Rate]
    lanes: Sequence[LaneEstimate]
    trainings: Sequence[TrainingEstimate]
    notes: Sequence[str]

    def tree(self) -> dict[str, Any]:
        """The same as plain values."""
        found: dict[str, Any] = {
            "new_source_chunks": self.chunks,
            "images": self.images,
            "missing_images": self.missing,
            "to_write": self.to_write,
            "rates": {name: rate.model_dump(mode="json") for name, rate in self.rates.items()},
            "notes": self.notes,
        }
        if self.trainings:
            found["training"] = [training.model_dump(mode="json") for training in self.trainings]
        return {**found, "lanes": [lane.model_dump(mode="json") for lane in self.lanes]}


def forecast(begun: Begun, *, images: int = 0, calibrate: int = 0, on_paper: Sequence[Resources] = ()) -> Forecast:
    """Look at a root, and nothing is written there.

    Times are for this many `images` (0: those that are missing), on nodes `on_paper` or on this machine. The annotators
    are run on the first `calibrate` images. Raises what `measure` raises.
    """
    store, config = begun.store, pin(begun.config, strict=False)
    there = store.exists(ROOT_FILE)
    plan = plan_of_root(store, config)
    chunks = len(new_chunks(store, config, read_journal(store)))
    missing = {step: sum(record.num_images for record in plan.missing(step)) for step in plan.steps}
    total = sum(record.num_images for record in plan.partitions)
    measured = measure(config, calibrate) if calibrate else Measured()
    trainings = training_estimates(config, measured)
    rates = rates_for(store if there else None, config, measured.rates, on_paper=bool(on_paper))
    whole = [stage for stage in stages_of_run(config) if not isinstance(stage, Steps)]
    to_write = [stage.name for stage in whole if chunks or not stage.is_current(plan)] if total or chunks else []
    lanes = estimate(
        plan,
        {name: images or missing[name] for name in plan.graph.order},
        {name: rate.images_per_s for name, rate in rates.items()},
        on_paper or [this_machine(plan.requests)],
        limit=config.runner.workers or int(config.runner.kind == "local" and not on_paper),
    )
    notes = notes_of_estimate(config, calibrate, measured, on_paper=bool(on_paper))
    return Forecast(begun, plan, chunks, total, missing, to_write, rates, lanes, trainings, notes)


def print_forecast(out: Console, found: Forecast) -> None:
    out.print(f"{found.begun.asked.root}: {found.images} images ingested, {found.chunks} new source chunks to read")
    for line in (*lines_about(found.begun), work_set_note(found.plan)):
        tell(line)
    if libraries := tell_of_libraries(found.plan, stages_of_run(found.plan.config)):
        out.print(f"note: {libraries}", markup=False)
    out.print(_steps(found))
    if found.to_write:
        out.print(f"stages over the whole root to run: {', '.join(found.to_write)}")
    if any(lane.images for lane in found.lanes):
        out.print(estimate_table(found.lanes))
    if found.trainings:
        out.print(training_table(found.trainings))
    for note in found.notes:
        out.print(f"note: {note}", markup=False)


def _steps(found: Forecast) -> Table:
    """A row for each step: its model, what is to be done, and how fast."""
    table = Table("step", "model", "revision", "images to do", "of", "images/s", "s/image", "rate")
    for step, number in found.missing.items():
        annotator, rate = found.plan.annotators.get(step), found.rates.get(step)
        model = annotator.model if annotator else None
        name, revision = (model.id, model.revision[:12] or "not pinned") if model else ("arithmetic", "")
        speed = ("", "", "")
        if rate:
            speed = (number_of(rate.images_per_s), number_of(1 / rate.images_per_s), rate.said)
        elif annotator:
            speed = ("?", "?", "not measured, not stated")
        to_do = str(number) + (" + new" if found.chunks else "")
        table.add_row(step, name, revision, to_do, str(found.images), *speed)
    return table
