"""Run a group of annotators over one partition: batches in partition order, poison isolated."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from fld_engine.engine.data.images import RGB
from fld_engine.engine.data.partition import PartitionImages
from fld_engine.engine.data.rows import RowWriter
from fld_engine.engine.plan.protocols import Annotator, Reducing, Sample
from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.engine.plan.trust import Trust
from fld_engine.engine.run.logs import about, context
from fld_engine.engine.stages.annotate.decode import decode_ahead, decode_singly
from fld_engine.schemas.annotations import Annotations, Source, Status
from fld_engine.schemas.errors import TransportError
from fld_engine.schemas.tables import STATUS

log = logging.getLogger(__name__)

Report = Callable[[Span, int], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image under one annotator."""

    status: Status
    annotations: Annotations = field(default_factory=Annotations)
    reason: str = ""
    isolated: bool = False


@dataclass(slots=True)
class Run:
    """One annotator at work on one partition. `outcomes` may come filled: those images are not run."""

    name: str
    annotator: Annotator
    known: Mapping[str, Annotations]
    outcomes: dict[int, Outcome]
    seconds: float = 0.0  # spent in the annotator


@dataclass(frozen=True, slots=True)
class _Process:
    """What surrounds the runs: who is told of what, and what earlier attempts learnt."""

    images: PartitionImages
    seed: int
    isolation: Isolation
    report: Report
    trust: Trust


def annotate_group(
    runs: Sequence[Run],
    images: PartitionImages,
    seed: int,
    isolation: Isolation,
    report: Report,
    trust: Trust | None = None,
) -> None:
    """Fill the outcomes of every run for every image of the partition.

    Batches are cut at multiples of the annotator's batch size in partition order, so that they do not depend on what
    else runs. Suspect spans run first, each as a batch of its own; one that is just the batch it would have been in is
    not marked as isolated. Raises `Distrusted` where failures may be the fault of the process that `trust` is about.
    """
    trust = trust or Trust(doubts=False)
    process = _Process(images, seed, isolation, report, trust)
    by_name = {run.name: run for run in runs}
    waiting = {run.name: {i for i in range(len(images)) if i not in run.outcomes} for run in runs}
    for span, reason in isolation.condemned:
        if span.step in by_name:
            by_name[span.step].outcomes[span.start] = Outcome("failed", reason=reason, isolated=True)
            trust.count_failure(span.step, f"{images.identity(span.start)[0]}: {reason}")
            report(span, 1)
    for span in isolation.suspects:
        if span.step in by_name:
            run = by_name[span.step]
            todo = [i for i in range(span.start, span.stop) if i not in run.outcomes]
            pixels = dict(_decoded(process, [run], todo if sees(run) else [], len(todo)))
            samples = _samples(run, images, pixels, todo, seed)
            batch = [i for i in _batch_of(run, span.start) if i in waiting[run.name]]
            _run_batch(run, samples, process, span, isolated=todo != batch)
    _stream(runs, process)
    trust.end()


def _stream(runs: Sequence[Run], process: _Process) -> None:
    """One pass over the partition: decode each image once, hand it to every annotator when its batch is full."""
    images = process.images
    apart = {span for span, _ in process.isolation.condemned} | set(process.isolation.suspects)
    waiting = {run.name: [i for i in range(len(images)) if i not in run.outcomes] for run in runs}
    seeing = sorted({i for run in runs if sees(run) for i in waiting[run.name]})
    pixels: dict[int, RGB | str] = {}
    most = max((run.annotator.batch_size for run in runs if sees(run)), default=0)
    decoded = _decoded(process, runs, seeing, most)
    for start in range(len(images)):
        for run in runs:
            size = run.annotator.batch_size
            if (start + 1) % size and start + 1 != len(images):
                continue
            batch = Span(step=run.name, start=start // size * size, stop=start + 1)
            todo = [i for i in waiting[run.name] if batch.start <= i <= start]
            while sees(run) and any(i not in pixels for i in todo):
                index, array = next(decoded)
                pixels[index] = array
            samples = _samples(run, images, pixels, todo, process.seed)
            _run_batch(run, samples, process, batch, isolated=any(span.overlaps(batch) for span in apart))
        oldest = min((start + 1) // run.annotator.batch_size * run.annotator.batch_size for run in runs)
        for index in [i for i in pixels if i < oldest]:
            del pixels[index]


def sees(run: Run) -> bool:
    """Whether the annotator is given pixels."""
    return "pixels" in run.annotator.requires


def _batch_of(run: Run, index: int) -> range:
    first = index // run.annotator.batch_size * run.annotator.batch_size
    return range(first, first + run.annotator.batch_size)


def _decoded(
    process: _Process, runs: Sequence[Run], indices: Sequence[int], most: int
) -> Iterator[tuple[int, RGB | str]]:
    """Pixels in order. A careful process decodes nothing ahead, and says for which annotator it decodes what."""
    if not process.isolation.careful:
        return decode_ahead(process.images, indices, most)

    def begin(index: int) -> None:
        step = next(run.name for run in runs if sees(run) and index not in run.outcomes)
        process.report(Span(step=step, start=index, stop=index + 1), 0)

    return decode_singly(process.images, indices, begin)


def _samples(
    run: Run, images: PartitionImages, pixels: Mapping[int, RGB | str], todo: Sequence[int], seed: int
) -> dict[int, Sample]:
    samples = {}
    for index in todo:
        array = pixels[index] if sees(run) else None
        if isinstance(array, str):
            run.outcomes[index] = Outcome("failed", reason=array)
            continue
        identity, width, height = images.identity(index)
        known = run.known.get(identity, Annotations())
        samples[index] = Sample(
            id=identity,
            width=width,
            height=height,
            pixels=array,
            known=known,
            seed=seed,
            twin_group=images.twin_group(index),
        )
    return samples


def _run_batch(run: Run, samples: Mapping[int, Sample], process: _Process, batch: Span, *, isolated: bool) -> None:
    """Annotate a batch, or a part of one; what raises is halved until the guilty sample stands alone."""
    if not samples:
        return
    indices = list(samples)
    span = Span(step=run.name, start=indices[0], stop=indices[-1] + 1)
    process.report(span, 0)
    begin = time.perf_counter()
    try:
        with context(specialist=run.name, images=tuple(sample.id for sample in samples.values())):
            answers = run.annotator.annotate(list(samples.values()))
        run.seconds += time.perf_counter() - begin
        if len(answers) != len(samples):
            raise ValueError(f"annotator {run.name!r} gave {len(answers)} results for {len(samples)} samples")
    except TransportError:  # what an annotator keeps or asks for could not be had: the task is tried again
        raise
    except Exception as error:  # noqa: BLE001 - the worker boundary: whatever an annotator raises becomes a failed row
        reason = f"{type(error).__name__}: {error}"[:300]
        process.trust.failed(span, batch, error, reason)
        if len(samples) == 1:
            told = about(specialist=run.name, images=(samples[indices[0]].id,))
            log.warning("annotator %s failed on image %s: %s", run.name, samples[indices[0]].id, reason, extra=told)
            run.outcomes[indices[0]] = Outcome("failed", reason=reason, isolated=isolated)
            process.trust.count_failure(run.name, f"{samples[indices[0]].id}: {reason}")
            process.report(span, 1)
            return
        middle = len(indices) // 2
        for half in (indices[:middle], indices[middle:]):
            _run_batch(run, {i: samples[i] for i in half}, process, batch, isolated=True)
        return
    process.trust.worked(run.name)
    reduced = isinstance(run.annotator, Reducing) and run.annotator.reduced
    for index, answer in zip(indices, answers, strict=True):
        run.outcomes[index] = Outcome("done", answer, isolated=isolated or reduced)
    process.report(span, len(samples))


def outcome_tables(run: Run, images: PartitionImages, source: Source) -> dict[str, pa.Table]:
    """Annotation tables of a run and its `status` table, one row per image in partition order."""
    writer = RowWriter()
    rows = []
    for index in range(len(images)):
        outcome = run.outcomes[index]
        identity = images.identity(index)[0]
        count = writer.add(identity, outcome.annotations, source)
        rows.append(
            {
                "image_id": identity,
                "status": outcome.status,
                "count": count,
                "reason": outcome.reason,
                "isolated": outcome.isolated,
            }
        )
    return {**writer.tables(), "status": pa.Table.from_pylist(rows, schema=STATUS)}
