"""Read an export with Python alone: its samples, and training pairs of an image, a prompt and a target.

Copy this file or import it; every export carries it as `reader.py`. Shards are read from a local folder, or from any
address that fsspec opens, such as `s3://bucket/root/export`, if fsspec and s3fs (for S3) are installed:
then one shard at a time is copied to a temporary file, and read there.

    export = open_export("export", "train")
    for sample, position in export.epoch(epoch=0, seed=0, part=rank, parts=world_size):
        pair = choose(sample, {"<OD>": 1.0, "<CAPTION>": 0.5}, seed=0, epoch=0)

The order of an epoch follows from `seed` and `epoch`: shards are shuffled, then the samples in each. `parts` share it:
whole shards where there are enough of them, samples in turn where there are not. Every sample is in exactly one part.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, NamedTuple

MAJOR, MINOR = 1, 2
"""Version of the samples that this file was written with. It reads every minor version of its major one: a minor
version adds keys, and takes none away nor changes their types; what this file does not know it passes over."""

BLOCK = 512
MEMBERS = ("jpg", "json", "txt")


class ExportError(Exception):
    """An export that cannot be read: not there, not whole, or of another major version."""


class ShardError(ExportError):
    """A shard that is damaged; the message names it, and what is wrong where."""

    def __init__(self, shard: str, what: str) -> None:
        super().__init__(f"shard {shard} is damaged: {what}; get it again, and see SHA256SUMS for what else is")
        self.shard = shard


@dataclass(frozen=True)
class Sample:
    """An image as it is stored (JPEG), and everything that is known of it. `key` is its id."""

    key: str
    image: bytes
    record: Mapping[str, Any]
    shard: str


class Pair(NamedTuple):
    """What a model is trained on, and the task it is for."""

    image: bytes
    prompt: str
    target: str
    task: str


class Position(NamedTuple):
    """How far an epoch is: samples of `sample` and more in shard number `shard` of the order are still to come."""

    shard: int = 0
    sample: int = 0


class Place(NamedTuple):
    """Where the members of a sample stand in their shard: (offset, bytes) by extension."""

    key: str
    members: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Export:
    """The shards of one split, by rising name."""

    folder: str
    shards: Sequence[str]

    def epoch(
        self, *, epoch: int, seed: int, part: int = 0, parts: int = 1, position: Position | None = None
    ) -> Iterator[tuple[Sample, Position]]:
        """One part's samples, each with the position after it: given back, it goes on there.

        For data-parallel training, `part` is `rank * num_workers + worker` of `world_size * num_workers` parts. Parts
        differ in size by up to a shard. Raises `ShardError` for a damaged shard, `ExportError` for another version.
        """
        start = position or Position()
        order = sorted(self.shards, key=lambda name: _draw(seed, epoch, name))
        by_shard = len(order) >= parts
        mine = order[part::parts] if by_shard else order
        seen = 0  # samples of all parts, where they take turns
        for number, name in enumerate(mine):
            with _opened(f"{self.folder}/shards/{name}") as file:
                places = sorted(places_of(file, name), key=lambda place: _draw(seed, epoch, place.key))
                for index, place in enumerate(places):
                    is_mine = by_shard or (seen + index) % parts == part
                    if is_mine and (number, index) >= start:
                        yield read_sample(file, name, place), Position(number, index + 1)
                seen += len(places)


def open_export(folder: str, split: str) -> Export:
    """The shards of a split of the export at a path or address.

    Raises `ExportError` where there is no whole export, it is of another major version, or fsspec is not installed.
    """
    folder = folder.rstrip("/")
    path = f"{folder}/manifest.json"
    try:
        with _opened(path) as file:
            manifest = json.load(file)
        major, shards = manifest["schema_version"], manifest["shards"]
        names = sorted(shard["name"] for shard in shards if shard["split"] == split)
    except FileNotFoundError as error:
        raise ExportError(
            f"{folder} is no whole export: it has no manifest.json; expected what `fld export` wrote"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(f"{path} is damaged: {error!r}; get it again") from error
    check_version(major, path)
    if not names:
        known = ", ".join(sorted({shard["split"] for shard in shards}))
        raise ExportError(f"{folder} has no split {split!r}; expected one of: {known or 'none, it is empty'}")
    return Export(folder, names)


def check_version(major: object, where: str) -> None:
    """Raises `ExportError` for samples of another major version than this file reads."""
    if major != MAJOR:
        raise ExportError(
            f"{where} is of schema {major}, and this reader reads {MAJOR}: use the reader.py of that export"
        )


def choose(sample: Sample, weights: Mapping[str, float] | None = None, *, seed: int, epoch: int) -> Pair | None:
    """One training pair of a sample: a task by weight among those it has targets for, then one of its targets.

    `weights` maps tasks to how often they are to come; tasks that are not in it do not; without it all are alike. None
    where the sample has no target of such a task. The same seed, epoch and sample give the same pair.
    """
    by_task: dict[str, list[Mapping[str, Any]]] = {}
    for target in sample.record["targets"]:
        if weights is None or weights.get(target["task"], 0.0) > 0.0:
            by_task.setdefault(target["task"], []).append(target)
    if not by_task:
        return None
    tasks = sorted(by_task)
    shares = [1.0 if weights is None else weights[task] for task in tasks]
    left = _fraction(seed, epoch, sample.key, "task") * sum(shares)
    task = tasks[-1]
    for name, share in zip(tasks, shares, strict=True):
        left -= share
        if left < 0:
            task = name
            break
    targets = by_task[task]
    chosen = targets[int(_fraction(seed, epoch, sample.key, "target") * len(targets))]
    return Pair(sample.image, chosen["prompt"], chosen["target"], task)


def places_of(file: IO[bytes], shard: str) -> list[Place]:
    """The samples of a shard in the order they stand in, from the headers alone. Raises `ShardError`."""
    size = file.seek(0, os.SEEK_END)
    found: dict[str, dict[str, tuple[int, int]]] = {}
    offset = 0
    while header := _header(file, offset, size, shard):
        name, length = header
        key, _, extension = name.partition(".")
        if extension in found.setdefault(key, {}):
            raise ShardError(shard, f"{name} stands twice, at byte {offset}")
        found[key][extension] = (offset + BLOCK, length)
        offset += BLOCK + length + -length % BLOCK
    for key, members in found.items():
        if missing := set(MEMBERS) - set(members):
            raise ShardError(shard, f"sample {key} has no {', '.join(sorted(missing))}")
    return [Place(key, members) for key, members in found.items()]


def read_sample(file: IO[bytes], shard: str, place: Place) -> Sample:
    """A sample whose image is the one its json speaks of. Raises `ShardError`, and `ExportError` for its version."""
    image, text = (_member(file, *place.members[extension]) for extension in ("jpg", "json"))
    try:
        record = json.loads(text)
        major, sha256, targets = record["schema"], record["image"]["sha256"], record["targets"]
    except (ValueError, KeyError, TypeError) as error:
        raise ShardError(shard, f"the json of {place.key} cannot be read: {error!r}") from error
    check_version(major, f"sample {place.key} of shard {shard}")
    if hashlib.sha256(image).hexdigest() != sha256:
        raise ShardError(shard, f"the image of {place.key} is not the one its json speaks of")
    if not isinstance(targets, list) or not all(_is_target(target) for target in targets):
        raise ShardError(shard, f"the targets of {place.key} cannot be read")
    return Sample(place.key, image, record, shard)


def _is_target(target: object) -> bool:
    return isinstance(target, dict) and {"task", "prompt", "target"} <= target.keys()


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    """A file to be read from place to place; one at an address is copied first, and deleted after."""
    if "://" not in path:
        with open(path, "rb") as file:
            yield file
        return
    try:
        import fsspec

        store, place = fsspec.url_to_fs(path)
    except ImportError as error:  # of fsspec, or of the package that opens such addresses: it says which
        raise ExportError(f"{path} is no local file, and cannot be opened here: {error}") from error
    with tempfile.NamedTemporaryFile() as copy:
        store.get_file(place, copy.name)
        with open(copy.name, "rb") as file:
            yield file


def _header(file: IO[bytes], offset: int, size: int, shard: str) -> tuple[str, int] | None:
    """Name and bytes of the member at an offset; None at the blocks that end a tar. Raises `ShardError`."""
    block = _member(file, offset, BLOCK)
    if len(block) < BLOCK:
        raise ShardError(shard, f"it ends at byte {size}, before its end")
    if not any(block):
        if offset + 2 * BLOCK != size or any(_member(file, offset, 2 * BLOCK)):
            raise ShardError(shard, f"zeros stand at byte {offset}, and it does not end there")
        return None
    try:
        told = int(block[148:154], 8)
        name, length = block[:100].rstrip(b"\0").decode("ascii"), int(block[124:135], 8)
    except ValueError as error:
        raise ShardError(shard, f"the header at byte {offset} cannot be read") from error
    if told != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise ShardError(shard, f"the header at byte {offset} is not what was written")
    if offset + BLOCK + length > size:
        raise ShardError(shard, f"it ends at byte {size}, within {name}")
    return name, length


def _member(file: IO[bytes], offset: int, length: int) -> bytes:
    file.seek(offset)
    return file.read(length)


def _draw(seed: int, epoch: int, name: str) -> bytes:
    """Where something comes in the order of an epoch: as random as a hash is, and the same everywhere."""
    return hashlib.sha256(f"{seed}:{epoch}:{name}".encode()).digest()


def _fraction(seed: int, epoch: int, name: str, what: str) -> float:
    """A number in [0, 1) that follows from all of these."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{epoch}:{what}:{name}".encode()).digest()[:6]) / (1 << 48)
