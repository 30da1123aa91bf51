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
from fld_engine.engine.sources.addresses.lists import fetching
from fld_engine.engine.sources.item import Rejected, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from fld_engine.refinement.training.estimate import TrainingEstimate


@dataclass(frozen=True, slots=True)
class Measured:
    """Images per second of each annotator in one local worker, loading left out, the first and slower batch included.

    It ran on `num_images`. `samples_per_s` is how fast a worker trains the student of `refine`; None without that key,
    or without labels.
    """

    rates: Mapping[str, float] = field(default_factory=dict)
    samples_per_s: float | None = None
    num_images: int = 0


def measure(config: RunConfig, num_images: int) -> Measured:
    """Rates on the first images, run in a temporary root. Raises `SourceError` where there is no readable image.

    Raises `ConfigError` where there is no source to take images from.
    """
    if not config.sources:
        raise ConfigError(
            f"--calibrate {num_images} runs the annotators on images of the sources, and there is none: give --source"
        )
    with tempfile.TemporaryDirectory(prefix="fld-calibrate-") as folder:
        photographs = Path(folder) / "photographs"
        photographs.mkdir()
        for index, data in enumerate(islice(_bytes_of(config), num_images)):
            (photographs / f"{index:06d}.jpg").write_bytes(data)  # the decoder goes by content, not by name
        taken = len(list(photographs.iterdir()))
        if not taken:
            named = ", ".join(spec.url for spec in config.sources)
            raise SourceError(f"--calibrate {num_images}: no image can be had of {named}; give a source with images")
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
            rate = _training_rate(pipeline) if config.sections.get("refine") else None
            return Measured(pipeline.work.rates(), rate, taken)


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
    for spec in (spec for spec in config.sources if fetching(spec) is None):  # nothing is fetched for an estimate
        for chunk in open_source(spec).chunks():
            for found in read_chunk(chunk, config.images.max_bytes):
                if not isinstance(found, Rejected):
                    yield found[1]


def this_machine(requests: Sequence[Resources] = ()) -> Resources:
    """The cores, GPUs and memory of this machine, as one node; a single worker that asks for more cores shares them."""
    cores = max([float(psutil.cpu_count() or 1), *(request.cpus for request in requests)])
    return Resources(cpus=cores, gpus=num_gpus(), memory_mb=psutil.virtual_memory().total // 2**20)


def nodes_on_paper(
    number: int, *, cpus: float | None, gpus: float | None, memory_gb: float | None
) -> Sequence[Resources]:
    """The nodes that an estimate is asked for; none where it is for this machine.

    Raises `ConfigError` where something is said of nodes, and not how many there are.
    """
    given = {"--node-cpus": cpus, "--node-gpus": gpus, "--node-memory-gb": memory_gb}
    if not number and (said := [f"{name} {value:g}" for name, value in given.items() if value is not None]):
        raise ConfigError(
            f"{' and '.join(said)}: of how many nodes? Give --nodes N, too, or leave it out for this machine"
        )
    node = Resources(
        cpus=64 if cpus is None else cpus,
        gpus=8 if gpus is None else gpus,
        memory_mb=int((512 if memory_gb is None else memory_gb) * 1024),
    )
    return [node] * number


def notes_of_estimate(config: RunConfig, asked: int, measured: Measured, *, on_paper: bool) -> list[str]:
    """What an estimate lacks, and what to do; `asked` is the number of images to calibrate on, 0 for none."""
    notes = []
    if measured.num_images < asked:
        notes.append(f"--calibrate {asked}: the sources have {measured.num_images} images, and these were taken")
    if asked and not any(spec.gold for spec in config.sources):
        notes.append(
            "--calibrate measured speed alone. No source is gold, so nothing tells how far scores are right: "
            "`fld refine` can neither calibrate them nor measure a student. Give checked annotations with "
            "--gold FILE, a COCO json"
        )
    if config.runner.kind == "ray" and config.runner.ray_address and not on_paper:
        notes.append(
            f"the hours are those of this machine, not of the cluster at {config.runner.ray_address}: give --nodes, "
            "--node-cpus, --node-gpus and --node-memory-gb for those"
        )
    return notes


def estimate_table(lanes: Sequence[LaneEstimate]) -> Table:
    """A row for each lane, and the sum where every rate is known."""
    table = Table("workers run", "one worker needs", "fit", "s/image", "worker h", "GPU h", "hours", title="estimate")
    for lane in lanes:
        need = f"{lane.resources.cpus:g} CPU, {lane.resources.gpus:g} GPU, {lane.resources.memory_mb} MB"
        times = (lane.seconds_per_image, lane.worker_hours, lane.gpu_hours, lane.hours)
        row = [number_of(t) for t in times] if not lane.unknown else [f"rate of {', '.join(lane.unknown)}?", "", "", ""]
        table.add_row(", ".join(lane.annotators), need, str(lane.workers), *row)
    known = [lane for lane in lanes if lane.hours is not None]
    if len(known) == len(lanes):
        sums = (sum(getattr(lane, what) for lane in known) for what in ("worker_hours", "gpu_hours", "hours"))
        table.add_row("all, one after another", "", "", "", *map(number_of, sums))
    else:
        table.caption = "a rate comes from a run of this root, from --calibrate N, or from `images_per_s` in the config"
    return table


def training_table(trainings: Sequence[TrainingEstimate]) -> Table:
    """Memory, steps and hours of the students of a round, and of those after the rounds."""
    table = Table("training", "student", "parameters", "MB of a worker", "steps", "s/step", "hours", title="refine")
    for found in trainings:
        needs = ("?", "the base cannot be opened here")
        if (known := found.memory) is not None:
            weights, gradients, moments, activations, total = map(
                number_of,
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
            number_of(found.seconds_per_step) or "rate?",
            number_of(found.hours),
        )
        if found.hours is None:
            table.caption = "the rate comes from `refine.trainer.samples_per_s` in the config, or from --calibrate N"
    return table


def number_of(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
