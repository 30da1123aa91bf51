"""Many samples through every reader, and damage at random places through `verify` and the small reader.

    python benchmarks/export/every_reader.py --samples 20000 --damages 200 --folder /data/somewhere

Every reader must give every sample of each split once, with the same pixels, json and text as the standard library
finds in the tars: alone and in order, and shuffled with two workers. Then bits are flipped and shards cut off: `verify`
must name the shard each time, with and without `--sums`, and the small reader must name it or read what was written.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from fld_engine.engine.stages.export.verify import verify
from fld_engine.schemas.reader import Export, ExportError, Sample, open_export
from tests.engine.stages.export.export_builder import write_export
from tests.engine.stages.export.readers import (
    Record,
    read_datasets,
    read_energon,
    read_open_clip,
    read_plainly,
    read_webdataset,
    read_wids,
)
from tests.engine.stages.export.view_builder import small_jpeg

SPLITS = ("train",) * 9 + ("val",)
SHARD = 500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--damages", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # the readers' own
    folder = Path(tempfile.mkdtemp(prefix="fld-readers-", dir=arguments.folder))
    start = time.monotonic()
    try:
        images = [small_jpeg(n) for n in range(arguments.samples)]
        manifest = write_export(
            folder / "export", images, plain=arguments.samples // 10, max_samples=SHARD, splits=SPLITS
        )
        print(f"{manifest.samples} samples, {len(manifest.shards)} shards, {manifest.bytes / 1e6:.0f} MB")
        for split in manifest.splits:
            read_all(folder, split)
        break_all(folder / "export", arguments.damages, random.Random(arguments.seed))
    finally:
        shutil.rmtree(folder)
    print(f"{time.monotonic() - start:.0f} s in all")


def read_all(folder: Path, split: str) -> None:
    """Every reader, in order and shuffled with two workers, against the standard library."""
    export = folder / "export"
    expected = read_plainly(export, split)
    captions = [(record.key, record.pixels, record.txt) for record in expected]
    readers: dict[str, tuple[Callable[..., Iterable[object]], Iterable[Record | tuple[str, str, str]]]] = {
        "webdataset": (read_webdataset, expected),
        "wids": (partial(read_wids, cache=folder / "cache"), expected),
        "Megatron-Energon": (read_energon, expected),
        "datasets": (read_datasets, expected),
        "OpenCLIP's stages": (read_open_clip, captions),
    }
    for name, (read, wanted) in readers.items():
        for workers, seed in ((0, None), (2, 3)):
            start = time.monotonic()
            found = list(read(export, split, workers=workers, seed=seed))
            seconds = time.monotonic() - start
            assert Counter(found) == Counter(wanted), f"{name} with {workers} workers reads something else in {split}"
            print(f"{split:5} {name:18} {workers} workers: all of {len(found)} samples, {seconds:.1f} s")
    keys = [sample.key for part in range(3) for sample, _ in small_reader(export, split, part)]
    assert Counter(keys) == Counter(record.key for record in expected)
    print(f"{split:5} {'reader.py':18} 3 parts  : all of {len(keys)} samples")


def small_reader(export: Path, split: str, part: int = 0, parts: int = 3) -> Iterable[tuple[object, object]]:
    return open_export(str(export), split).epoch(epoch=0, seed=0, part=part, parts=parts)


def break_all(export: Path, num: int, draw: random.Random) -> None:
    """Damage one shard at a time; every third is cut off, in the others one bit is flipped."""
    silent = 0
    shards = sorted((export / "shards").glob("*.tar"))
    whole = {path.name: [(s.key, s.image) for s in read_shard(export, path.name)] for path in shards}
    for number in range(num):
        path = draw.choice(shards)
        data = path.read_bytes()
        place = draw.randrange(len(data))
        spoilt = data[:place]
        if number % 3:
            spoilt += bytes([data[place] ^ 1 << draw.randrange(8)]) + data[place + 1 :]
        path.write_bytes(spoilt)
        what = f"byte {place} of {len(data)} of {path.name}, {'flipped' if number % 3 else 'cut off'}"
        for sums_only in (True, False) if number % 10 == 0 else (True,):
            named = {problem.shard for problem in verify(str(export), sums_only=sums_only).problems}
            assert named == {path.name}, f"{what}: verify names {named}"
        said, found = "", []
        try:
            found = [(s.key, s.image) for s in read_shard(export, path.name)]
        except ExportError as error:
            said = str(error)
        assert path.name in said if said else number % 3 and found == whole[path.name], f"{what}: {said or 'not told'}"
        silent += not said
        path.write_bytes(data)
    assert verify(str(export)).ok
    print(
        f"{num} damages: verify names the shard of every one, reader.py of {num - silent}; the other {silent} change no"
    )
    print("key and no image: they are in words of a json, in texts or in padding")


def read_shard(export: Path, name: str) -> list[Sample]:
    return [sample for sample, _ in Export(str(export), [name]).epoch(epoch=0, seed=0)]


if __name__ == "__main__":
    main()
