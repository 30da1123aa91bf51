"""What `fld plan` knows about time: rates stated in the config or measured in a short run, and how they are shown."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from rich.table import Table

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, RunnerConfig
from fld_engine.engine.plan.estimate import LaneEstimate
from fld_engine.engine.plan.limits import PartitionLimits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.run.local import num_gpus
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.sources.item import Rejected, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest

if TYPE_CHECKING:
    from fld_engine.refinement.training.estimate import TrainingEstimate


def stated_rates(config: RunConfig) -> dict[str, float]:
    """Images per second of one worker, by annotator, where the config states it."""
    return {name: one.images_per_s for name, one in config.annotators.items() if one.images_per_s is not None}


@dataclass(frozen=True, slots=True)
class Measured:
    """Images per second of each annotator in one local worker, loading left out, the first and slower batch included.

    `samples_per_s` is how fast a worker trains the student of `refine`; None without that key, or without labels.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    samples_per_s: float | None = None


def measure(config: RunConfig, num_images: int) -> Measured:
    """Rates on the first images, run in a temporary root. Raises `SourceError` where there is no readable image."""
    with tempfile.TemporaryDirectory(prefix="fld-calibrate-") as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        for index, data in enumerate(islice(_bytes_of(config), num_images)):
            (photographs / f"{index:06d}.jpg").write_bytes(data)  # the decoder goes by content, not by name
        small = config.model_copy(
            update={
                "sources": (SourceSpec(url=str(photographs)),),
                "partitions": PartitionLimits(max_images=num_images),
                "runner": RunnerConfig(lane_memory_mb=config.runner.lane_memory_mb),
            }
        )
        store = Store(str(Path(folder) / "root"))
        store.open_root(create=True)
        with Pipeline(store, small) as pipeline:
            pipeline.preflight()
            pipeline.run(Ingest())
            pipeline.run(Annotate())
            return Measured(pipeline.work.rates(), _training_rate(pipeline) if config.sections.get("refine") else None)


def _training_rate(pipeline: Pipeline) -> float | None:
    from fld_engine.refinement.loop.loop import Loop
    from fld_engine.refinement.loop.settings import RefineConfig
    from fld_engine.refinement.training.estimate import measured_rate

    pipeline.release_workers()
    pipeline.run(Filter())
    loop = Loop(pipeline, pipeline.config.section("refine", RefineConfig))
    return measured_rate(loop.teacher, loop.settings.training, pipeline.plan())


def training_estimates(config: RunConfig, measured: Measured) -> tuple[TrainingEstimate, ...]:
    """What the trainings of `fld refine` take; none where the config says nothing in `refine`."""
    if not config.sections.get("refine"):
        return ()
    from fld_engine.refinement.loop.estimate import estimate_trainings
    from fld_engine.refinement.loop.settings import RefineConfig

    return estimate_trainings(config.section("refine", RefineConfig), measured.samples_per_s)


def _bytes_of(config: RunConfig) -> Iterator[bytes]:
    """The bytes of everything that the sources take for an image, in their order."""
    for spec in config.sources:
        for chunk in open_source(spec).chunks():
            for found in read_chunk(chunk, config.images.max_bytes):
                if not isinstance(found, Rejected):
                    yield found[1]


def this_machine() -> Resources:
    """The cores, GPUs and memory of this machine, as one node."""
    memory_mb = psutil.virtual_memory().total // 2**20
    return Resources(cpus=psutil.cpu_count() or 1, gpus=num_gpus(), memory_mb=memory_mb)


def estimate_table(lanes: Sequence[LaneEstimate]) -> Table:
    """A row for each lane, and the sum where every rate is known."""
    table = Table("workers run", "one worker needs", "fit", "s/image", "worker h", "GPU h", "hours", title="estimate")
    for lane in lanes:
        need = f"{lane.resources.cpus:g} CPU, {lane.resources.gpus:g} GPU, {lane.resources.memory_mb} MB"
        times = (lane.seconds_per_image, lane.worker_hours, lane.gpu_hours, lane.hours)
        row = [_number(t) for t in times] if not lane.unknown else [f"rate of {', '.join(lane.unknown)}?", "", "", ""]
        table.add_row(", ".join(lane.annotators), need, str(lane.workers), *row)
    known = [lane for lane in lanes if lane.hours is not None]
    if len(known) == len(lanes):
        sums = (sum(getattr(lane, what) for lane in known) for what in ("worker_hours", "gpu_hours", "hours"))
        table.add_row("all, one after another", "", "", "", *map(_number, sums))
    else:
        table.caption = "a rate comes from `images_per_s` in the config, or from --calibrate N"
    return table


def training_table(trainings: Sequence[TrainingEstimate]) -> Table:
    """Memory, steps and hours of the students of a round, and of those after the rounds."""
    table = Table("training", "student", "parameters", "MB of a worker", "steps", "s/step", "hours", title="refine")
    for found in trainings:
        needs = ("?", "the base cannot be opened here")
        if (known := found.memory) is not None:
            weights, gradients, moments, activations, total = map(
                _number,
                (known.weights_mb, known.gradients_mb, known.optimiser_mb, known.activations_mb, known.total_mb),
            )
            parts = f"weights {weights}, gradients {gradients}, AdamW {moments}, activations up to {activations}"
            needs = (f"{known.parameters:,}", f"up to {total}: {parts}")
        steps = f"{found.num_students} × {found.num_steps:,} steps of {found.samples_per_step} samples"
        table.add_row(
            found.what,
            found.base,
            *needs,
            f"{steps}, workers: {found.num_workers}",
            _number(found.seconds_per_step) or "rate?",
            _number(found.hours),
        )
        if found.hours is None:
            table.caption = "the rate comes from `refine.trainer.samples_per_s` in the config, or from --calibrate N"
    return table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
