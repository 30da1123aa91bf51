"""How many near-twins ingest finds, at what cost, on simulated hashes.

    python benchmarks/twins/grouping.py --images 10000 1000000 --rows 2000000 250000 --processes 2

Each row of the table is one ingest of random hashes with, at shuffled places, 1,000 pairs at each distance from 0 to 3
bits, 1,000 originals with five copies of up to 3 bits each, and 5,000 images with one hash. Scans and matches are
written as ingest writes them, and every task of grouping runs in a process of its own. `recall` counts pairs in one
group: the pairs by distance, and of an original with its copies those at most 3 bits apart. `far` is the largest
distance of an image from the one that names its group, `largest` the largest group. `rows` is how many images a part
holds; `peak MB` is that of the largest process beside what it needs to do nothing, `driver` likewise.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.tasks import Lane, Task
from fld_engine.engine.stages.ingest import find_twins
from fld_engine.engine.stages.ingest.near import MAX_DISTANCE, Hashes, Rows
from fld_engine.engine.stages.ingest.tables import MATCHES, ScanResult
from fld_engine.engine.stages.ingest.tasks import GroupTwins

PLANTED = 1000
NUM_COPIES = 5
NUM_SAME = 5000
PER_SCAN = 10_000


class Simulated(NamedTuple):
    """Hashes, and the (first, second) rows of planted pairs by what is planted."""

    hashes: Hashes
    pairs: dict[str, tuple[Rows, Rows]]


def simulate(num_images: int, seed: int) -> Simulated:
    """Hashes of images in shuffled order."""
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 2**64, num_images, dtype=np.uint64)
    places = draw.permutation(num_images)
    used = 0

    def take(num: int) -> Rows:
        nonlocal used
        used += num
        rows: Rows = places[used - num : used]
        return rows

    pairs: dict[str, tuple[Rows, Rows]] = {}
    copies = min(PLANTED, num_images // 20)
    for bits in range(MAX_DISTANCE + 1):
        first, second = take(copies), take(copies)
        hashes[second] = hashes[first] ^ flips(draw, np.full(copies, bits))
        pairs[str(bits)] = first, second
    clusters = [take(copies)]
    for _ in range(NUM_COPIES):
        clusters.append(take(copies))
        hashes[clusters[-1]] = hashes[clusters[0]] ^ flips(draw, draw.integers(0, MAX_DISTANCE + 1, copies))
    both = [(a, b) for j, b in enumerate(clusters) for a in clusters[:j]]
    a, b = np.concatenate([a for a, _ in both]), np.concatenate([b for _, b in both])
    near = np.bitwise_count(hashes[a] ^ hashes[b]) <= MAX_DISTANCE
    pairs["copies"] = a[near], b[near]
    hashes[take(min(NUM_SAME, num_images // 20))] = draw.integers(0, 2**64, dtype=np.uint64)
    return Simulated(hashes, pairs)


def flips(draw: np.random.Generator, num_bits: Rows) -> Hashes:
    """A mask for each image with so many bits set."""
    order = draw.permuted(np.tile(np.arange(64, dtype=np.uint64), (len(num_bits), 1)), axis=1)
    chosen = np.arange(64) < num_bits[:, None]
    masks: Hashes = np.bitwise_or.reduce(np.where(chosen, np.uint64(1) << order, np.uint64(0)), axis=1)
    return masks


def write_scans(store: Store, hashes: Hashes) -> tuple[list[ScanResult], list[str]]:
    """What scans and deduplication leave; returns results and paths of matches."""
    results, matches = [], []
    for index, start in enumerate(range(0, len(hashes), PER_SCAN)):
        part = hashes[start : start + PER_SCAN].tolist()
        ids = [f"{start + row:032x}" for row in range(len(part))]
        table = pa.table({"id": ids, "phash": [f"{value:016x}" for value in part]})
        results.append(ScanResult(index=index, files={"scan": store.write_table(f"scans/{index}.parquet", table)}))
        fields = {"id": ids, "scan": [index] * len(ids), "row": range(len(ids)), "status": ["new"] * len(ids)}
        matches.append(pa.table({**fields, "partition": [""] * len(ids)}, schema=MATCHES))
    return results, [store.write_table("matches.parquet", pa.concat_tables(matches)).path]


def work(root: str, payload: GroupTwins) -> tuple[Any, int]:
    """A task in a process of its own: its answer, and kilobytes at the peak."""
    answer = find_twins.group_twins(Store(root), payload)
    return answer, peak_kb()


def peak_kb() -> int:
    """The most memory that this process has had; `ru_maxrss` would count what its parent had when it forked."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1])


def measure(num_images: int, rows: int, processes: int, seed: int) -> str:
    find_twins.ROWS_PER_BUCKET = rows
    peaks: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        simulated = simulate(num_images, seed)
        results, matches = write_scans(store, simulated.hashes)
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, mp_context=spawn, max_tasks_per_child=1) as pool:
            nothing = pool.submit(peak_kb).result()

            def answers(lane: Lane, kind: Any) -> Iterator[tuple[Task, Any]]:
                done = pool.map(work, [folder] * len(lane.tasks), [task.payload for task in lane.tasks])
                for task, (answer, peak) in zip(lane.tasks, done, strict=True):
                    peaks.append(peak)
                    yield task, answer

            driver: Any = SimpleNamespace(store=store, answers=answers)
            before = peak_kb()
            start = time.perf_counter()
            groups = find_twins.find_twins(driver, "ingest/000001", results, matches, [])
            seconds = time.perf_counter() - start
            driver_peak = peak_kb() - before
        names = [
            name
            for index, result in enumerate(results)
            for name in find_twins.twins_of(store, groups, index, range(result.files["scan"].rows))
        ]
    leaders = np.array([int(name, 16) for name in names])
    recall = {what: float(np.mean(leaders[a] == leaders[b])) for what, (a, b) in simulated.pairs.items()}
    far = int(np.bitwise_count(simulated.hashes ^ simulated.hashes[leaders]).max())
    cells = [f"{num_images:>9}", f"{rows:>9}", *(f"{share:>7.2%}" for share in recall.values())]
    cells += [f"{far:>4}", f"{int(np.bincount(leaders).max()):>8}", f"{seconds:>8.1f}", f"{len(peaks):>6}"]
    return " ".join([*cells, f"{(max(peaks) - nothing) // 1024:>8}", f"{driver_peak // 1024:>7}"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--rows", type=int, nargs="+", default=[2_000_000])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=20261130)
    args = parser.parse_args()
    recall = " ".join(f"{what:>7}" for what in (*map(str, range(MAX_DISTANCE + 1)), "copies"))
    costs = f"{'far':>4} {'largest':>8} {'seconds':>8} {'tasks':>6} {'peak MB':>8} {'driver':>7}"
    print(f"{'images':>9} {'rows':>9} {recall} {costs}")
    for num_images in args.images:
        for rows in args.rows:
            print(measure(num_images, rows, args.processes, args.seed), flush=True)


if __name__ == "__main__":
    main()
