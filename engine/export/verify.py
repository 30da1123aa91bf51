"""Re-read an export, every byte of it, and say what is not as its manifest promises."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from pydantic import ValidationError

from engine.export.companions.energon import shard_offsets
from engine.export.manifest import (
    EXTENSIONS,
    IDX,
    MANIFEST,
    SHARDS,
    Counts,
    FileEntry,
    Manifest,
    ShardRecord,
    count,
    manifest_json,
    total,
)
from engine.export.publish import SUMS, sha256sums, unlisted_shards
from engine.export.shard_reader import HashedStream, ShardError, read_members
from engine.hashing import sha256_hex
from engine.store import Store
from engine.tar import member_bytes
from schemas.annotations import Frozen
from schemas.sample import Sample, best_brief, canonical_json, parse_sample

MAX_THREADS = 8
"""Hashing runs beside parsing, and object stores answer several requests at once; more threads gain nothing."""

ID_BYTES = 16


class Problem(Frozen):
    """One thing that is wrong; `shard` and `member` are empty where it concerns the export or the whole shard."""

    shard: str
    member: str
    what: str


class VerifyReport(Frozen):
    """What was read, and every problem, in shard order."""

    shards: int
    samples: int
    bytes: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(slots=True)
class _Shard:
    """What one shard turned out to hold."""

    name: str
    num_bytes: int = 0
    samples: int = 0
    counts: list[Counts] = field(default_factory=list)
    ids: bytearray = field(default_factory=bytearray)
    offsets: list[int] = field(default_factory=lambda: [0])
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, member: str, what: str) -> None:
        self.problems.append(Problem(shard=self.name, member=member, what=what))


def verify(
    url: str, progress: Callable[[int, int], None] | None = None, *, sums_only: bool = False
) -> VerifyReport:
    """Check the export in folder `url` against its manifest; damage becomes rows, never an exception.

    Every byte is read. With `sums_only` the sha256 of every file is compared and no sample is parsed: that finds all
    that happened to an export since it was written, at the speed of hashing. `progress` is told (bytes read, bytes in
    all) after every shard.
    """
    check = _check_sums if sums_only else _check_shard
    out = Store(url)
    manifest, problems = _read_manifest(out)
    if manifest is None:
        return VerifyReport(shards=0, samples=0, bytes=0, problems=tuple(problems))
    done = 0
    shards: list[_Shard] = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:
        for record, shard in zip(
            manifest.shards, pool.map(lambda r: check(out, r), manifest.shards), strict=True
        ):
            shards.append(shard)
            done += record.bytes
            if progress is not None:
                progress(done, manifest.bytes)
    problems += [problem for shard in shards for problem in shard.problems]
    problems += _check_unique(shards)
    return VerifyReport(
        shards=len(shards),
        samples=sum(shard.samples for shard in shards),
        bytes=sum(shard.num_bytes for shard in shards),
        problems=tuple(problems),
    )


# ----------------------------------------------------------------------------------------------------- the export


def _read_manifest(out: Store) -> tuple[Manifest | None, list[Problem]]:
    def problem(member: str, what: str) -> Problem:
        return Problem(shard="", member=member, what=what)

    try:
        data = out.read_bytes(MANIFEST)
        manifest = Manifest.model_validate_json(data)
    except FileNotFoundError:
        return None, [problem(MANIFEST, "missing: this is no export, or one that was not finished")]
    except (ValidationError, OSError) as error:
        return None, [problem(MANIFEST, f"cannot be read: {_brief(error)}")]
    problems = []
    if data != manifest_json(manifest):
        problems.append(problem(MANIFEST, "is not in canonical form: it was changed after it was written"))
    if (manifest.samples, manifest.bytes, manifest.counts, dict(manifest.splits)) != total(manifest.shards):
        problems.append(problem(MANIFEST, "totals are not the sums over its shards"))
    try:
        if out.read_bytes(SUMS) != sha256sums(manifest):
            problems.append(problem(SUMS, "does not agree with the manifest"))
    except OSError as error:
        problems.append(problem(SUMS, f"cannot be read: {_brief(error)}"))
    problems += [problem(file.path, what) for file in manifest.files for what in _check_file(out, file)]
    extra = sorted(unlisted_shards(out, manifest))
    problems += [Problem(shard=name, member="", what="is not in the manifest") for name in extra]
    return manifest, problems


def _check_file(out: Store, file: FileEntry) -> Iterator[str]:
    """What is wrong with a file beside the shards."""
    if file.path.startswith("/") or ".." in file.path.split("/"):
        yield "is not a path inside the export"
        return
    try:
        with out.fs.open(out.path(file.path), "rb") as opened:
            stream = HashedStream(opened)
            stream.drain()
    except OSError as error:
        yield f"cannot be read: {_brief(error)}"
        return
    if (stream.num_bytes, stream.sha256) != (file.bytes, file.sha256):
        yield f"{stream.num_bytes} bytes with sha256 {stream.sha256}, the manifest says {file.bytes} with {file.sha256}"


def _check_unique(shards: Sequence[_Shard]) -> list[Problem]:
    """Ids that stand in more than one shard; within a shard their order shows it."""
    ids = np.frombuffer(b"".join(shard.ids for shard in shards), dtype=f"V{ID_BYTES}").view(">u8").reshape(-1, 2)
    owners = np.repeat(np.arange(len(shards)), [len(shard.ids) // ID_BYTES for shard in shards])
    order = np.lexsort((owners, ids[:, 1], ids[:, 0]))
    again = order[1:][(ids[order[1:]] == ids[order[:-1]]).all(axis=1) & (owners[order[1:]] != owners[order[:-1]])]
    return [
        Problem(shard=shards[owners[i]].name, member=ids[i].tobytes().hex(), what="is in another shard too")
        for i in again
    ]


# ------------------------------------------------------------------------------------------------------ one shard


def _check_sums(out: Store, record: ShardRecord) -> _Shard:
    """The hashes of a shard and its offsets; its samples are taken to be as the manifest says."""

    def check(shard: _Shard, stream: HashedStream) -> None:
        shard.samples = record.samples
        shard.counts.append(record.counts)
        _read_offsets(shard, record, out)

    return _check(out, record, check)


def _check_shard(out: Store, record: ShardRecord) -> _Shard:
    """The hashes of a shard, and every sample in it."""

    def check(shard: _Shard, stream: HashedStream) -> None:
        try:
            _check_members(shard, record, stream)
        except ShardError as error:
            shard.wrong(error.member, error.what)
            return
        offsets = _read_offsets(shard, record, out)
        if offsets is not None and offsets != shard_offsets(shard.offsets):
            shard.wrong("", f"its {IDX} does not say where its samples stand")

    return _check(out, record, check)


def _check(out: Store, record: ShardRecord, check: Callable[[_Shard, HashedStream], None]) -> _Shard:
    """Hash a shard, letting `check` read from it first."""
    shard = _Shard(record.name)
    if "/" in record.name or not record.name.endswith(".tar"):
        shard.wrong("", "is not the name of a shard")
        return shard
    try:
        with out.fs.open(out.path(f"{SHARDS}/{record.name}"), "rb") as file:
            stream = HashedStream(file)
            check(shard, stream)
            stream.drain()
    except FileNotFoundError:
        shard.wrong("", "is missing")
        return shard
    except OSError as error:
        shard.wrong("", f"cannot be read: {_brief(error)}")
        return shard
    _compare(shard, record, stream)
    return shard


def _compare(shard: _Shard, record: ShardRecord, stream: HashedStream) -> None:
    shard.num_bytes = stream.num_bytes
    if stream.num_bytes != record.bytes:
        what = "truncated" if stream.num_bytes < record.bytes else "too long"
        shard.wrong("", f"{what}: {stream.num_bytes} bytes, the manifest says {record.bytes}")
    if stream.sha256 != record.sha256:
        shard.wrong("", f"sha256 is {stream.sha256}, the manifest says {record.sha256}")
    if shard.samples != record.samples:
        shard.wrong("", f"holds {shard.samples} samples, the manifest says {record.samples}")
    counts = Counts.total(shard.counts)
    if counts != record.counts:
        shard.wrong("", f"holds {counts}, the manifest says {record.counts}")


def _read_offsets(shard: _Shard, record: ShardRecord, out: Store) -> bytes | None:
    """The bytes of a shard's offsets, compared with the manifest; None where they cannot be read."""
    try:
        offsets = out.read_bytes(f"{SHARDS}/{record.name}{IDX}")
    except OSError as error:
        shard.wrong("", f"its {IDX} cannot be read: {_brief(error)}")
        return None
    if sha256_hex(offsets) != record.index_sha256:
        shard.wrong("", f"the sha256 of its {IDX} is not that of the manifest")
    return offsets


def _check_members(shard: _Shard, record: ShardRecord, stream: HashedStream) -> None:
    previous = ""
    for key, members in _by_key(read_members(stream)):
        shard.samples += 1
        shard.offsets.append(shard.offsets[-1] + sum(member_bytes(len(data)) for _, data in members))
        names = tuple(extension for extension, _ in members)
        if names != EXTENSIONS:
            shard.wrong(key, f"has members {', '.join(names)}, expected {', '.join(EXTENSIONS)}")
            continue
        if key <= previous:
            shard.wrong(key, f"is a duplicate or out of order after {previous}")
        previous = key
        _check_sample(shard, record, key, dict(members))


def _by_key(members: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Runs of members with one key; at most one more member than a sample has is held, whatever a shard holds."""
    key = ""
    run: list[tuple[str, bytes]] = []
    for name, data in members:
        stem, _, extension = name.partition(".")
        if run and (stem != key or len(run) > len(EXTENSIONS)):
            yield key, run
            run = []
        key = stem
        run.append((extension, data))
    if run:
        yield key, run


def _check_sample(shard: _Shard, record: ShardRecord, key: str, members: dict[str, bytes]) -> None:
    try:
        sample = parse_sample(members["json"])
        as_written = canonical_json(sample)
    except (ValidationError, UnicodeError) as error:
        shard.wrong(f"{key}.json", f"is not a sample: {_brief(error)}")
        return
    shard.counts.append(count(sample))
    if as_written != members["json"]:
        shard.wrong(f"{key}.json", "is not in canonical form")
    for member, what in _disagreements(sample, record, key, members):
        shard.wrong(f"{key}.{member}", what)
    if len(key) == 2 * ID_BYTES and set(key) <= set("0123456789abcdef"):
        shard.ids += bytes.fromhex(key)
    else:
        shard.wrong(key, "is not an image id")


def _disagreements(
    sample: Sample, record: ShardRecord, key: str, members: dict[str, bytes]
) -> Iterator[tuple[str, str]]:
    image = sample.image
    sha256 = sha256_hex(members["jpg"])
    if sha256 != image.sha256:
        yield "jpg", f"sha256 is {sha256}, its json says {image.sha256}"
    if not image.reencoded and image.sha256 != image.original_sha256:
        yield "json", "has two hashes for an image that was not re-encoded"
    if sample.id != key or not image.original_sha256.startswith(key):
        yield "json", f"is about image {sample.id}"
    if image.split != record.split:
        yield "json", f"is of split {image.split}, in a shard of {record.split}"
    if members["txt"] != best_brief(sample).encode():
        yield "txt", "is not the best brief text of its json"


def _brief(error: Exception) -> str:
    """First lines of an error, on one."""
    return " ".join(str(error).split())[:200]
