"""Samples/s through webdataset from our shards and from ShardWriter's, and MB/s of `verify` against bare hashing.

    python benchmarks/export/reading.py --samples 2000 --repeats 7 --folder /dev/shm

The contenders take turns in every round, beginning with another one each time; a number is the median of its rounds.
Both sets of shards hold the same samples, and every round counts them and their bytes. The files are in the page cache.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import webdataset

from benchmarks.export.samples import make_samples, prepare_all
from benchmarks.export.writing import SHARD, shard_writer
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.publish import write_export_index
from fld_engine.engine.stages.export.shards import ShardLimits, write_group
from fld_engine.engine.stages.export.verify import verify


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--image-kb", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fld-bench-", dir=arguments.folder))
    try:
        num_bytes = write(folder, arguments.samples, arguments.image_kb)
        seconds = take_turns(folder, arguments.repeats)
    finally:
        shutil.rmtree(folder)
    print(f"{arguments.samples} samples, {num_bytes / 1e6:.0f} MB, {arguments.repeats} rounds in {arguments.folder}")
    for name, median in seconds.items():
        print(f"{name:32} {arguments.samples / median:8.0f} samples/s {num_bytes / 1e6 / median:7.0f} MB/s")


def write(folder: Path, num: int, image_kb: int) -> int:
    """Both sets of shards; returns the bytes of ours."""
    drafts, images = make_samples(num, image_kb, seed=0)
    samples = prepare_all(drafts)
    (folder / "theirs").mkdir()
    shard_writer(folder / "theirs", samples, images, [])
    out = Store(str(folder / "ours"))
    limits = ShardLimits(max_samples=SHARD, max_bytes=1 << 30)
    written = write_group(samples, images.__getitem__, out, group=0, seed=0, limits=limits, images=ImageLimits())
    return write_export_index(out, written.shards, index=[written.index], config={}, models={}).bytes


def take_turns(folder: Path, repeats: int) -> dict[str, float]:
    """Median seconds by contender."""
    ours, theirs = sorted(folder.glob("ours/shards/*.tar")), sorted(folder.glob("theirs/*.tar"))
    contenders: dict[str, Callable[[], object]] = {
        "webdataset, ours": lambda: read(ours),
        "webdataset, ShardWriter's": lambda: read(theirs),
        "webdataset with json, ours": lambda: read(ours, parse=True),
        "webdataset with json, theirs": lambda: read(theirs, parse=True),
        "sha256 of the shards, one thread": lambda: [hashlib.sha256(path.read_bytes()).digest() for path in ours],
        "verify --sums": lambda: verify(str(folder / "ours"), sums_only=True).ok or sys.exit("damaged"),
        "verify": lambda: verify(str(folder / "ours")).ok or sys.exit("damaged"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    results: dict[str, set[object]] = {name: set() for name in names if name.startswith("webdataset")}
    for turn in range(repeats):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            start = time.monotonic()
            result = contenders[name]()
            seconds[name].append(time.monotonic() - start)
            if name in results:
                results[name].add(result)
    assert len(set().union(*results.values())) == 1, f"the readers disagree: {results}"
    return {name: statistics.median(times) for name, times in seconds.items()}


def read(shards: list[Path], *, parse: bool = False) -> tuple[int, int]:
    """Samples, and bytes of their members."""
    num = num_bytes = 0
    for sample in webdataset.WebDataset([str(path) for path in shards], shardshuffle=False):
        num += 1
        num_bytes += sum(len(sample[name]) for name in ("jpg", "json", "txt"))
        if parse:
            assert json.loads(sample["json"])["id"] == sample["__key__"]
    return num, num_bytes


if __name__ == "__main__":
    main()
