"""MB/s of our shard writer against `webdataset.ShardWriter`, plain `tarfile`, and raw writes of the same bytes.

    python benchmarks/export/writing.py --samples 2000 --repeats 9 --processes 1 2 --folder /data/somewhere

What is measured is the writing of shards alone, from samples that are assembled and images that are in memory; what
comes before it is measured by `assembling.py`. In every round all contenders take turns, with each number of processes,
beginning with another one each time; a number is the median of its rounds. Several processes write their own samples at
the same time, and the clock runs from the first start to the last end. Before a speed is printed, every member of every
shard is read back and compared by sha256; of ours and the raw ones, the shards too.

All do the same for durability: a temporary name, fsync, rename, for every shard. `raw write` is large writes and then
an fsync, `raw, early` asks the disk to begin at once, as our writer does: the most that the disk gives. On tmpfs fsync
costs nothing, and what is measured is the processor. Ours makes a second pass over every image, to compare it with the
sha256 it was ingested under, one over every shard for the manifest, and writes the rows of `index.parquet`. The others
hash nothing; `raw, hashed` writes the bytes and then computes their sha256, as whoever publishes sums must.

A writer has three threads, two that hash and one that writes; `--pin` gives each process one core, as a worker has that
asks its cluster for one, so that two processes can show whether they are twice one.

`others` is how many cores other work on the machine used at the median. `--quietest 0.25` takes, of the rounds of each
contender, the quarter in which the others used least. Seconds of a core per GB hardly depend on them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import multiprocessing
import os
import shutil
import statistics
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import psutil
import webdataset

from benchmarks.export.samples import make_samples, prepare_all
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.shards import PreparedSample, ShardLimits, write_group

Images = Mapping[str, bytes]
SHARD = 500
CHUNK = 4 << 20


def ours(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    limits = ShardLimits(max_samples=SHARD, max_bytes=1 << 30)
    store = Store(str(folder))
    write_group(samples, images.__getitem__, store, group=0, seed=0, limits=limits, images=ImageLimits())


def shard_writer(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    pattern = str(folder / "shard-%04d.tar.tmp")
    with webdataset.ShardWriter(pattern, maxcount=SHARD, maxsize=1 << 40, verbose=0, post=commit) as writer:
        for sample in samples:
            writer.write({"__key__": sample.id, "jpg": images[sample.id], "json": sample.json, "txt": sample.txt})


def plain_tarfile(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    for number, start in enumerate(range(0, len(samples), SHARD)):
        path = folder / f"shard-{number:04d}.tar.tmp"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples[start : start + SHARD]:
                for extension, data in (("jpg", images[sample.id]), ("json", sample.json), ("txt", sample.txt)):
                    info = tarfile.TarInfo(f"{sample.id}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        commit(str(path))


def raw(
    folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes], *, early: bool = False
) -> None:
    for number, shard in enumerate(shards):
        path = folder / f"shard-{number:04d}.tar.tmp"
        with open(path, "wb", buffering=0) as file:
            for start in range(0, len(shard), CHUNK):
                file.write(memoryview(shard)[start : start + CHUNK])
                if early:
                    os.posix_fadvise(file.fileno(), start, CHUNK, os.POSIX_FADV_DONTNEED)
        commit(str(path))


def raw_early(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    raw(folder, samples, images, shards, early=True)


def raw_hashed(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    raw(folder, samples, images, shards)
    for shard in shards:
        hashlib.sha256(shard).hexdigest()


def commit(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    os.replace(path, path.removesuffix(".tmp"))


CONTENDERS: dict[str, Callable[..., None]] = {
    "ours": ours, "ShardWriter": shard_writer, "tarfile": plain_tarfile, "raw write": raw, "raw, early": raw_early,
    "raw, hashed": raw_hashed,
}  # fmt: skip


class Step(NamedTuple):
    """One contender in one round: with how many processes."""

    turn: int
    processes: int
    name: str


class Span(NamedTuple):
    """What one process measured of a step: when it began and ended, its and the whole machine's busy seconds."""

    start: float
    end: float
    busy: float
    all_busy: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="per process")
    parser.add_argument("--image-kb", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--pin", action="store_true", help="each process and its threads to a core of its own")
    parser.add_argument("--quietest", type=float, default=1.0, help="share of the rounds that is looked at")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    steps = steps_of(arguments.repeats, arguments.processes)
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(max(arguments.processes)), context.Queue()
    workers = [
        context.Process(target=work, args=(vars(arguments), steps, number, barrier, queue))
        for number in range(max(arguments.processes))
    ]
    for worker in workers:
        worker.start()
    found = sorted((queue.get() for _ in workers), key=lambda one: one[0])
    for worker in workers:
        worker.join()
    size = statistics.fmean(num_bytes for _, num_bytes, _ in found)
    print(f"{arguments.samples} samples, {size / 1e6:.0f} MB a process, {arguments.repeats} rounds, {arguments.folder}")
    show(steps, [spans for _, _, spans in found], size, arguments.quietest)


def steps_of(repeats: int, processes: Sequence[int]) -> list[Step]:
    """Rounds of all contenders, each beginning with another one."""
    once = [(number, name) for number in sorted(set(processes)) for name in CONTENDERS]
    return [Step(turn, *once[(turn + n) % len(once)]) for turn in range(repeats) for n in range(len(once))]


def work(arguments: dict[str, Any], steps: Sequence[Step], number: int, barrier: Any, queue: Any) -> None:
    """One process: its part of every step, and what it wrote compared in the first round."""
    if arguments["pin"]:
        os.sched_setaffinity(0, {number})
    drafts, images = make_samples(arguments["samples"], arguments["image_kb"], number)
    samples = prepare_all(drafts)
    folder = Path(tempfile.mkdtemp(prefix="fld-bench-", dir=arguments["folder"]))
    try:
        ours(folder, samples, images, [])
        shards = [path.read_bytes() for path in sorted(folder.rglob("*.tar"))]
        expected = sorted(digests(folder))
        assert len(expected) == 3 * len(samples)
        spans: dict[Step, Span] = {}
        for step in steps:
            shutil.rmtree(folder)
            folder.mkdir()
            barrier.wait()
            if number < step.processes:
                start, busy, all_busy = time.monotonic(), time.process_time(), machine_busy()
                CONTENDERS[step.name](folder, samples, images, shards)
                end = time.monotonic()
                spans[step] = Span(start, end, time.process_time() - busy, machine_busy() - all_busy)
            barrier.wait()
            if step.turn == 0 and number < step.processes:
                assert sorted(digests(folder)) == expected, f"{step.name} wrote other members"
                if step.name == "ours" or step.name.startswith("raw"):
                    assert [path.read_bytes() for path in sorted(folder.rglob("*.tar"))] == shards
        queue.put((number, sum(map(len, shards)), spans))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def machine_busy() -> float:
    """Seconds that all cores together were busy since the machine started."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - times.guest)


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and sha256 of every member."""
    for path in folder.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for info in tar:
                yield info.name, hashlib.sha256(tar.extractfile(info).read()).hexdigest()  # type: ignore[union-attr]


class Round(NamedTuple):
    """One contender in one round: the others' cores first, so that rounds are sorted by them."""

    others: float
    seconds: float
    busy: float


def show(steps: Sequence[Step], found: Sequence[Mapping[Step, Span]], size: float, quietest: float) -> None:
    """A line for each contender and number of processes."""
    speeds: dict[tuple[int, str], float] = {}
    numbers = sorted({step.processes for step in steps})
    for processes in numbers:
        for name in sorted(CONTENDERS, key="raw write".__ne__):
            rounds = sorted(
                round_of([spans[step] for spans in found[:processes]])
                for step in steps
                if (step.processes, step.name) == (processes, name)
            )
            rounds = rounds[: max(1, round(len(rounds) * quietest))]
            others, seconds, busy = map(statistics.median, zip(*rounds, strict=True))
            speeds[processes, name] = speed = processes * size / 1e6 / seconds
            best = processes * size / 1e6 / min(one.seconds for one in rounds)
            print(
                f"{processes} × {name:12} {speed:5.0f} MB/s (best {best:5.0f}), "
                f"{speed / speeds[processes, 'raw write']:5.2f} of raw, "
                f"{speed / speeds[numbers[0], name]:5.2f} of {numbers[0]} process; "
                f"{busy / processes / size * 1e9:.2f} s of a core per GB; others {others:.1f}, {len(rounds)} rounds"
            )


def round_of(spans: Sequence[Span]) -> Round:
    """What the processes of a step measured, together."""
    seconds = max(span.end for span in spans) - min(span.start for span in spans)
    busy = sum(span.busy for span in spans)
    return Round((max(span.all_busy for span in spans) - busy) / seconds, seconds, busy)


if __name__ == "__main__":
    main()
