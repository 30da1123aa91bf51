"""MB/s of our shard writer against `webdataset.ShardWriter`, plain `tarfile`, and a raw write of the same bytes.

    python benchmarks/export/writing.py --samples 2000 --repeats 7 --processes 1 --folder /data/somewhere

The contenders take turns in every round, beginning with another one each time; a number is the median of its rounds.
All get the same samples in memory, and every shard is on disk (fsync) before a clock stops; on tmpfs that costs
nothing, and what is measured is the processor. With several processes, each writes its own samples at the same time as
the others, and the clock runs from the first start to the last end. Before a speed is printed, every member of every
shard is read back and compared by sha256; of ours and the raw ones, the shards too.

On a machine that does other work, the best round and the seconds of a core say more than the median.

Ours makes a second pass over every image, to compare it with the sha256 it was ingested under, one over every shard for
the manifest, and writes the rows of `index.parquet`. The others hash nothing.
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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import webdataset

from benchmarks.export.samples import make_samples, prepare_all
from engine.export.shards import PreparedSample, ShardLimits, write_group
from engine.images import ImageLimits
from engine.store import Store

Images = Mapping[str, bytes]
SHARD = 500


def ours(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    limits = ShardLimits(max_samples=SHARD, max_bytes=1 << 30)
    store = Store(str(folder))
    write_group(samples, images.__getitem__, store, group=0, seed=0, limits=limits, images=ImageLimits())


def shard_writer(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    pattern = str(folder / "shard-%04d.tar")
    with webdataset.ShardWriter(pattern, maxcount=SHARD, maxsize=1 << 40, verbose=0, post=sync) as writer:
        for sample in samples:
            writer.write({"__key__": sample.id, "jpg": images[sample.id], "json": sample.json, "txt": sample.txt})


def plain_tarfile(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    for number, start in enumerate(range(0, len(samples), SHARD)):
        path = folder / f"shard-{number:04d}.tar"
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for sample in samples[start : start + SHARD]:
                for extension, data in (("jpg", images[sample.id]), ("json", sample.json), ("txt", sample.txt)):
                    info = tarfile.TarInfo(f"{sample.id}.{extension}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        sync(str(path))


def raw(folder: Path, samples: list[PreparedSample], images: Images, shards: list[bytes]) -> None:
    for number, shard in enumerate(shards):
        path = folder / f"shard-{number:04d}.tar"
        with open(path, "wb") as file:
            for start in range(0, len(shard), 4 << 20):
                file.write(memoryview(shard)[start : start + (4 << 20)])
        sync(str(path))


def sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


CONTENDERS: dict[str, Callable[..., None]] = {
    "ours": ours, "ShardWriter": shard_writer, "tarfile": plain_tarfile, "raw write": raw,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="per process")
    parser.add_argument("--image-kb", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(arguments.processes), context.Queue()
    workers = [
        context.Process(target=work, args=(vars(arguments), number, barrier, queue))
        for number in range(arguments.processes)
    ]
    for worker in workers:
        worker.start()
    found = [queue.get() for _ in workers]
    for worker in workers:
        worker.join()
    num_bytes = sum(size for size, _ in found)
    seconds = {
        name: [
            max(spans[name][n][1] for _, spans in found) - min(spans[name][n][0] for _, spans in found)
            for n in range(arguments.repeats)
        ]
        for name in CONTENDERS
    }
    print(
        f"{arguments.processes} process(es), {num_bytes / 1e6:.0f} MB, {arguments.repeats} rounds in {arguments.folder}"
    )
    for name, times in seconds.items():
        rates = [num_bytes / 1e6 / reduce(times) for reduce in (statistics.median, min)]
        shares = [reduce(seconds["raw write"]) / reduce(times) for reduce in (statistics.median, min)]
        busy = statistics.median(sum(spans[name][n][2] for _, spans in found) for n in range(arguments.repeats))
        print(
            f"{name:12} median {rates[0]:5.0f} MB/s, {shares[0]:.2f} of raw; best {rates[1]:5.0f} MB/s, {shares[1]:.2f}"
            f"; {busy / num_bytes * 1e9:.2f} s of a core per GB"
        )


def work(arguments: dict[str, Any], number: int, barrier: Any, queue: Any) -> None:
    """One process: every contender in every round, and what it wrote compared in the first."""
    drafts, images = make_samples(arguments["samples"], arguments["image_kb"], number)
    samples = prepare_all(drafts)
    folder = Path(tempfile.mkdtemp(prefix="fld-bench-", dir=arguments["folder"]))
    try:
        ours(folder, samples, images, [])
        shards = [path.read_bytes() for path in sorted(folder.rglob("*.tar"))]
        expected = sorted(digests(folder))
        assert len(expected) == 3 * len(samples)
        spans: dict[str, list[tuple[float, float, float]]] = {name: [] for name in CONTENDERS}
        names = list(CONTENDERS)
        for turn in range(arguments["repeats"]):
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                shutil.rmtree(folder)
                folder.mkdir()
                os.sync()
                barrier.wait()
                start, busy = time.monotonic(), time.process_time()
                CONTENDERS[name](folder, samples, images, shards)
                spans[name].append((start, time.monotonic(), time.process_time() - busy))
                if turn == 0:
                    assert sorted(digests(folder)) == expected, f"{name} wrote other members"
                    if name in ("ours", "raw write"):
                        assert [path.read_bytes() for path in sorted(folder.rglob("*.tar"))] == shards
        queue.put((sum(map(len, shards)), spans))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def digests(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and sha256 of every member."""
    for path in folder.rglob("*.tar"):
        with tarfile.open(path) as tar:
            for info in tar:
                yield info.name, hashlib.sha256(tar.extractfile(info).read()).hexdigest()  # type: ignore[union-attr]


if __name__ == "__main__":
    main()
