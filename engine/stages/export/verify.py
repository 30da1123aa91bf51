"""Re-read an export, every byte of it, and say what is not as its manifest promises."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydantic import ValidationError

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.manifest import MANIFEST, FileEntry, Manifest, manifest_json, total
from fld_engine.engine.stages.export.publish import SUMS, sha256sums, unlisted_shards
from fld_engine.engine.stages.export.shard_reader import HashedStream
from fld_engine.engine.stages.export.verify_shard import ID_BYTES, Problem, ShardCheck, brief, check_shard, check_sums
from fld_engine.schemas.annotations import Frozen

MAX_THREADS = 8
"""Hashing runs beside parsing, and object stores answer several requests at once; more threads gain nothing."""


class VerifyReport(Frozen):
    """What was read, and every problem, in shard order."""

    shards: int
    samples: int
    bytes: int
    problems: tuple[Problem, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(url: str, progress: Callable[[int, int], None] | None = None, *, sums_only: bool = False) -> VerifyReport:
    """Check the export in folder `url` against its manifest; damage becomes rows, never an exception.

    Every byte is read. With `sums_only` the sha256 of every file is compared and no sample is parsed: that finds all
    that happened to an export since it was written, at the speed of hashing. `progress` is told (bytes read, bytes in
    all) after every shard.
    """
    check = check_sums if sums_only else check_shard
    out = Store(url)
    manifest, problems = _read_manifest(out)
    if manifest is None:
        return VerifyReport(shards=0, samples=0, bytes=0, problems=tuple(problems))
    done = 0
    shards: list[ShardCheck] = []
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_THREADS)) as pool:
        for record, shard in zip(manifest.shards, pool.map(lambda r: check(out, r), manifest.shards), strict=True):
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
        return None, [problem(MANIFEST, f"cannot be read: {brief(error)}")]
    problems = []
    if data != manifest_json(manifest):
        problems.append(problem(MANIFEST, "is not in canonical form: it was changed after it was written"))
    if (manifest.samples, manifest.bytes, manifest.counts, dict(manifest.splits)) != total(manifest.shards):
        problems.append(problem(MANIFEST, "totals are not the sums over its shards"))
    try:
        if out.read_bytes(SUMS) != sha256sums(manifest):
            problems.append(problem(SUMS, "does not agree with the manifest"))
    except OSError as error:
        problems.append(problem(SUMS, f"cannot be read: {brief(error)}"))
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
        with out.open_read(file.path) as opened:
            stream = HashedStream(opened)
            stream.drain()
    except OSError as error:
        yield f"cannot be read: {brief(error)}"
        return
    if (stream.num_bytes, stream.sha256) != (file.bytes, file.sha256):
        yield f"{stream.num_bytes} bytes with sha256 {stream.sha256}, the manifest says {file.bytes} with {file.sha256}"


def _check_unique(shards: Sequence[ShardCheck]) -> list[Problem]:
    """Ids that stand in more than one shard; within a shard their order shows it."""
    ids = np.frombuffer(b"".join(shard.ids for shard in shards), dtype=f"V{ID_BYTES}").view(">u8").reshape(-1, 2)
    owners = np.repeat(np.arange(len(shards)), [len(shard.ids) // ID_BYTES for shard in shards])
    order = np.lexsort((owners, ids[:, 1], ids[:, 0]))
    again = order[1:][(ids[order[1:]] == ids[order[:-1]]).all(axis=1) & (owners[order[1:]] != owners[order[:-1]])]
    return [
        Problem(shard=shards[owners[i]].name, member=ids[i].tobytes().hex(), what="is in another shard too")
        for i in again
    ]
