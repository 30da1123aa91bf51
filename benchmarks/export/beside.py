"""Seconds, megabytes on disk and peak memory of the files beside the shards, for an export of many samples.

    python benchmarks/export/beside.py --samples 1000000 --group 8000

No shard is there: the files are made from index rows alone, as they are for a real export.
"""

from __future__ import annotations

import argparse
import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import pyarrow as pa

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.manifest import Counts, ShardRecord
from fld_engine.engine.stages.export.publish import write_export_index
from fld_engine.engine.stages.export.sample_index import Facts, Place, index_table

SHARD, SAMPLE_BYTES = 1000, 128 * 1024
FACTS = Facts("synthetic", "CC0-1.0", 640, 480, "done", "done", "done", 6, 10, 2, ["<CAPTION>", "<OD>", "<OCR>"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=200_000)
    parser.add_argument("--group", type=int, default=8000, help="samples in a group of shards")
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    shards = [
        ShardRecord(
            name=f"train-{start // arguments.group:05d}-{start % arguments.group // SHARD:04d}.tar", split="train",
            samples=SHARD, bytes=SHARD * SAMPLE_BYTES, sha256="0" * 64, index_sha256="0" * 64, counts=Counts(),
        )
        for start in range(0, arguments.samples, SHARD)
    ]  # fmt: skip
    before = peak_mb()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        start = time.monotonic()
        groups = rows(arguments.samples, arguments.group)
        manifest = write_export_index(Store(folder), shards, index=groups, config={}, models={})
        seconds = time.monotonic() - start
    print(f"{arguments.samples} samples in {len(shards)} shards: {seconds:.1f} s, rows included")
    print(f"peak memory {peak_mb():.0f} MB, {before:.0f} MB before")
    for file in manifest.files:
        print(f"{file.path:24} {file.bytes / 1e6:9.2f} MB")


def rows(num: int, group: int) -> Iterator[pa.Table]:
    """Index rows of one group after the other."""
    for start in range(0, num, group):
        found = []
        for n in range(start, min(start + group, num)):
            id_ = hashlib.sha256(str(n).encode()).hexdigest()[:32]
            shard = f"train-{start // group:05d}-{(n - start) // SHARD:04d}.tar"
            offset = (n - start) % SHARD * SAMPLE_BYTES
            place = Place(
                id_, "train", shard, (n - start) % SHARD, offset, SAMPLE_BYTES,
                offset + 512, 100_000, offset + 101_376, 24_000, offset + 126_464, 30,
            )  # fmt: skip
            found.append((place, FACTS))
        yield index_table(found)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
