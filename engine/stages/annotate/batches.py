"""Run a group of annotators over one partition: batches in partition order, decode-ahead, poison isolated."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import pyarrow as pa

from fld_engine.engine.data.images import RGB
from fld_engine.engine.data.partition import PartitionImages
from fld_engine.engine.data.rows import RowWriter
from fld_engine.engine.plan.protocols import Annotator, Reducing, Sample
from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.schemas.annotations import Annotations, Source, Status
from fld_engine.schemas.errors import TransportError, UnreadableImage
from fld_engine.schemas.tables import STATUS

log = logging.getLogger(__name__)

DECODERS = 2
"""Threads that decode; they keep ahead of any model slower than 5 ms an image (ours)."""
AHEAD_BYTES = 256 << 20
"""Pixels decoded before the model asks for them: a batch of up to 80 images of a megapixel (ours)."""

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


def annotate_group(
    runs: Sequence[Run], images: PartitionImages, seed: int, isolation: Isolation, report: Report
) -> None:
    """Fill the outcomes of every run for every image of the partition.

    Batches are cut at multiples of the annotator's batch size in partition order, so that they do not depend on what
    else runs. Suspect spans run first, each as a batch of its own; one that is just the batch it would have been in is
    not marked as isolated.
    """
    by_name = {run.name: run for run in runs}
    for span, reason in isolation.condemned:
        if span.step in by_name:
            by_name[span.step].outcomes[span.start] = Outcome("failed", reason=reason, isolated=True)
    waiting = {run.name: {i for i in range(len(images)) if i not in run.outcomes} for run in runs}
    for span in isolation.suspects:
        if span.step in by_name:
            run = by_name[span.step]
            todo = [i for i in range(span.start, span.stop) if i not in run.outcomes]
            pixels = dict(_decode_ahead(images, todo if sees(run) else [], len(todo)))
            samples = _samples(run, images, pixels, todo, seed)
            first = span.start // run.annotator.batch_size * run.annotator.batch_size
            batch = [i for i in range(first, first + run.annotator.batch_size) if i in waiting[run.name]]
            _run_batch(run, samples, report, isolated=todo != batch)
    _stream(runs, images, seed, report)


def _stream(runs: Sequence[Run], images: PartitionImages, seed: int, report: Report) -> None:
    """One pass over the partition: decode each image once, hand it to every annotator when its batch is full."""
    waiting = {run.name: [i for i in range(len(images)) if i not in run.outcomes] for run in runs}
    seeing = sorted({i for run in runs if sees(run) for i in waiting[run.name]})
    pixels: dict[int, RGB | str] = {}
    decoded = _decode_ahead(images, seeing, max((run.annotator.batch_size for run in runs if sees(run)), default=0))
    for start in range(len(images)):
        for run in runs:
            size = run.annotator.batch_size
            if (start + 1) % size and start + 1 != len(images):
                continue
            first = start // size * size
            todo = [i for i in waiting[run.name] if first <= i <= start]
            while sees(run) and any(i not in pixels for i in todo):
                index, array = next(decoded)
                pixels[index] = array
            _run_batch(run, _samples(run, images, pixels, todo, seed), report, isolated=False)
        oldest = min((start + 1) // run.annotator.batch_size * run.annotator.batch_size for run in runs)
        for index in [i for i in pixels if i < oldest]:
            del pixels[index]


def sees(run: Run) -> bool:
    """Whether the annotator is given pixels."""
    return "pixels" in run.annotator.requires


def _decode_ahead(images: PartitionImages, indices: Sequence[int], most: int) -> Iterator[tuple[int, RGB | str]]:
    """Decoded images in order, or the reason why one could not be decoded.

    While a model works on a batch, up to `most` images of the next are decoded, as far as memory has room for them.
    """
    with ThreadPoolExecutor(max_workers=DECODERS, thread_name_prefix="decode") as pool:
        ahead: deque[tuple[int, Future[RGB | str]]] = deque()
        upcoming = deque(indices)
        held = 0
        while upcoming or ahead:
            while upcoming and (len(ahead) < DECODERS or (len(ahead) < most and held < AHEAD_BYTES)):
                held += _num_bytes(images, upcoming[0])
                ahead.append((upcoming[0], pool.submit(_decode, images, upcoming.popleft())))
            index, future = ahead.popleft()
            held -= _num_bytes(images, index)
            yield index, future.result()


def _num_bytes(images: PartitionImages, index: int) -> int:
    """What its pixels take."""
    _, width, height = images.identity(index)
    return 3 * width * height


def _decode(images: PartitionImages, index: int) -> RGB | str:
    try:
        return images.pixels(index)
    except UnreadableImage as error:
        return str(error)


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


def _run_batch(run: Run, samples: Mapping[int, Sample], report: Report, *, isolated: bool) -> None:
    """Annotate a batch; one that raises is halved until the guilty sample stands alone."""
    if not samples:
        return
    indices = list(samples)
    report(Span(step=run.name, start=indices[0], stop=indices[-1] + 1), 0)
    begin = time.perf_counter()
    try:
        answers = run.annotator.annotate(list(samples.values()))
        run.seconds += time.perf_counter() - begin
        if len(answers) != len(samples):
            raise ValueError(f"annotator {run.name!r} gave {len(answers)} results for {len(samples)} samples")
    except TransportError:  # what an annotator keeps or asks for could not be had: the task is tried again
        raise
    except Exception as error:  # noqa: BLE001 - the worker boundary: whatever an annotator raises becomes a failed row
        if len(samples) == 1:
            reason = f"{type(error).__name__}: {error}"[:300]
            log.warning("annotator %s failed on image %s: %s", run.name, samples[indices[0]].id, reason)
            run.outcomes[indices[0]] = Outcome("failed", reason=reason, isolated=isolated)
            report(Span(step=run.name, start=indices[0], stop=indices[0] + 1), 1)
            return
        middle = len(indices) // 2
        for half in (indices[:middle], indices[middle:]):
            _run_batch(run, {i: samples[i] for i in half}, report, isolated=True)
        return
    reduced = isinstance(run.annotator, Reducing) and run.annotator.reduced
    for index, answer in zip(indices, answers, strict=True):
        run.outcomes[index] = Outcome("done", answer, isolated=isolated or reduced)
    report(Span(step=run.name, start=indices[0], stop=indices[-1] + 1), len(samples))


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
