"""Time and memory of a report's merge for 1, 100 and 10,000 simulated partitions: python benchmarks/report_merge.py.

Each simulated partition has the aggregates of about a thousand images: 2,000 terms drawn from Zipf's law, the first
1,000 of them as mentions too, 500 captions that are nobody else's, and 80 classes with 45 bins of shapes each. Gathers
and reduces run one after another in one worker process, as a single runner would take them; its peak memory is what any
worker needs. The driver's share is measured apart.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.report.aggregate import bucket_of
from fld_engine.engine.stages.report.reduce import (
    PARTITIONS_PER_GATHER,
    MergeResult,
    gather,
    read_vocabulary,
    reduce_terms,
    runs_of_buckets,
)
from fld_engine.engine.stages.report.tables import CANDIDATES, COUNTS, TERMS, merge_counts
from fld_engine.engine.stages.report.tasks import Gather, Reduce
from fld_engine.engine.stages.report.vocabulary import richness

NUM_TERMS, NUM_CAPTIONS, VOCABULARY = 2000, 500, 200_000
NUM_COUNTS = 2000
NUM_MENTIONS, NUM_CLASSES, BINS = (
    1000,
    80,
    {"class_area": 10, "class_aspect": 10, "class_overlap": 10, "class_centre": 15},
)


def write_partitions(store: Store, num: int) -> list[dict[str, str]]:
    """Terms of `num` partitions; counts and candidates are the same file for all."""
    random = np.random.default_rng(0)
    folder = Path(store.path("simulated"))
    folder.mkdir(parents=True)
    bins = [("area", "region-text", "", "", i, 7) for i in range(NUM_COUNTS)]
    store.write_table("simulated/counts.parquet", pa.table([list(c) for c in zip(*bins, strict=True)], schema=COUNTS))
    store.write_table("simulated/candidates.parquet", CANDIDATES.empty_table())
    buckets = np.array([bucket_of(f"word {i}") for i in range(VOCABULARY)])
    shapes = [
        (kind, f"{i:02d}", f"class {c}") for c in range(NUM_CLASSES) for kind, n in BINS.items() for i in range(n)
    ]
    shape_buckets = [bucket_of(name) for _, _, name in shapes]
    inputs = []
    for number in range(num):
        words = np.unique(random.zipf(1.2, 4 * NUM_TERMS) % VOCABULARY)[:NUM_TERMS]
        captions = [f"caption {i} of partition {number}" for i in range(NUM_CAPTIONS)]
        n, said = len(words), words[:NUM_MENTIONS]
        kinds = ["noun"] * n + ["caption"] * NUM_CAPTIONS + ["mention"] * len(said) + [kind for kind, _, _ in shapes]
        groups = ["brief"] * (n + NUM_CAPTIONS) + ["web"] * len(said) + [group for _, group, _ in shapes]
        terms = [f"word {i}" for i in words] + captions + [f"word {i}" for i in said] + [name for *_, name in shapes]
        its_buckets = [*buckets[words].tolist(), *map(bucket_of, captions), *buckets[said].tolist(), *shape_buckets]
        first = [f"{random.integers(2**63):032x}/p{number:06d}" for _ in terms]
        ones = np.ones(len(terms), dtype=np.int64)
        columns = [its_buckets, kinds, groups, terms, ones, ones, 0 * ones, 0 * ones, 0 * ones, first]
        pq.write_table(pa.table(columns, schema=TERMS), folder / f"{number}.parquet", compression="zstd")
        inputs.append({
            "terms": f"simulated/{number}.parquet", "counts": "simulated/counts.parquet",
            "candidates": "simulated/candidates.parquet",
        })  # fmt: skip
    return inputs


def worker(folder: str, tasks: list[Gather | Reduce], answers: multiprocessing.Queue) -> None:
    """Run tasks one after another; answer with their results, the longest seconds and the peak memory in MB."""
    store = Store(folder)
    results, seconds = [], []
    for task in tasks:
        begin = time.perf_counter()
        results.append(gather(store, task) if isinstance(task, Gather) else reduce_terms(store, task))
        seconds.append(time.perf_counter() - begin)
    answers.put((results, max(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def in_worker(folder: str, tasks: list[Gather | Reduce]) -> tuple[list[MergeResult], float, float]:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=worker, args=(folder, tasks, answers))
    process.start()
    found: tuple[list[MergeResult], float, float] = answers.get()
    process.join()
    return found


def measure(num: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fld-merge-") as folder:
        store = Store(folder)
        inputs = write_partitions(store, num)
        groups = [inputs[i : i + PARTITIONS_PER_GATHER] for i in range(0, num, PARTITIONS_PER_GATHER)]
        begin = time.perf_counter()
        gathered, longest, gather_mb = in_worker(
            folder, [Gather(inputs=tuple(g), out=f"gathered-{i}") for i, g in enumerate(groups)]
        )
        gather_s = time.perf_counter() - begin
        terms = tuple(result.files["terms"] for result in gathered)
        runs = runs_of_buckets(sum(result.terms for result in gathered))
        begin = time.perf_counter()
        reduced, longest_reduce, reduce_mb = in_worker(
            folder, [Reduce(terms=terms, low=low, high=high, out=f"reduced-{low}") for low, high in runs]
        )
        reduce_s = time.perf_counter() - begin
        begin = time.perf_counter()
        merge_counts([store.read_table(result.files["counts"]) for result in gathered])
        vocabulary = read_vocabulary(store, reduced)
        driver_s = time.perf_counter() - begin
        captions = vocabulary.spectrum.filter([k == "caption" for k in vocabulary.spectrum["kind"].to_pylist()])
        assert richness(captions).distinct == 2 * num * NUM_CAPTIONS, "every caption once, by granularity and in all"
        gathers = f"{len(groups)} | {gather_s:.1f} | {longest:.2f} | {gather_mb:.0f}"
        reduces = f"{len(runs)} | {reduce_s:.1f} | {longest_reduce:.2f} | {reduce_mb:.0f}"
        num_terms = sum(result.terms for result in reduced)
        print(f"| {num:,} | {num_terms:,} | {gathers} | {reduces} | {driver_s:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, nargs="*", default=[1, 100, 10_000])
    print(
        "| partitions | different terms | gathers | s, one worker | longest, s | peak MB | reduces | s, one worker | "
        "longest, s | peak MB | driver, s |\n|" + "---:|" * 11
    )
    for num in parser.parse_args().partitions:
        measure(num)


if __name__ == "__main__":
    main()
