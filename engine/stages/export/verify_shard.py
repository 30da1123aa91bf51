"""One shard of an export: every byte against its record, and every sample against what a sample must be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.jpeg_metadata import without_metadata
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tar import member_bytes
from fld_engine.engine.stages.export.companions.energon import shard_offsets
from fld_engine.engine.stages.export.manifest import EXTENSIONS, IDX, SHARDS, Counts, ShardRecord, count
from fld_engine.engine.stages.export.shard_reader import HashedStream, ShardError, read_members
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.sample import Sample, best_brief, canonical_json, parse_sample

ID_BYTES = 16


class Problem(Frozen):
    """One thing that is wrong; `shard` and `member` are empty where it concerns the export or the whole shard."""

    shard: str
    member: str
    what: str


@dataclass(slots=True)
class ShardCheck:
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


def check_sums(out: Store, record: ShardRecord) -> ShardCheck:
    """The hashes of a shard and its offsets; its samples are taken to be as the manifest says."""

    def check(shard: ShardCheck, stream: HashedStream) -> None:
        shard.samples = record.samples
        shard.counts.append(record.counts)
        _read_offsets(shard, record, out)

    return _check(out, record, check)


def check_shard(out: Store, record: ShardRecord) -> ShardCheck:
    """The hashes of a shard, and every sample in it."""

    def check(shard: ShardCheck, stream: HashedStream) -> None:
        try:
            _check_members(shard, record, stream)
        except ShardError as error:
            shard.wrong(error.member, error.what)
            return
        offsets = _read_offsets(shard, record, out)
        if offsets is not None and offsets != shard_offsets(shard.offsets):
            shard.wrong("", f"its {IDX} does not say where its samples stand")

    return _check(out, record, check)


def _check(out: Store, record: ShardRecord, check: Callable[[ShardCheck, HashedStream], None]) -> ShardCheck:
    """Hash a shard, letting `check` read from it first."""
    shard = ShardCheck(record.name)
    if "/" in record.name or not record.name.endswith(".tar"):
        shard.wrong("", "is not the name of a shard")
        return shard
    try:
        with out.open_read(f"{SHARDS}/{record.name}") as file:
            stream = HashedStream(file)
            check(shard, stream)
            stream.drain()
    except FileNotFoundError:
        shard.wrong("", "is missing")
        return shard
    except OSError as error:
        shard.wrong("", f"cannot be read: {brief(error)}")
        return shard
    _compare(shard, record, stream)
    return shard


def _compare(shard: ShardCheck, record: ShardRecord, stream: HashedStream) -> None:
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


def _read_offsets(shard: ShardCheck, record: ShardRecord, out: Store) -> bytes | None:
    """The bytes of a shard's offsets, compared with the manifest; None where they cannot be read."""
    try:
        offsets = out.read_bytes(f"{SHARDS}/{record.name}{IDX}")
    except OSError as error:
        shard.wrong("", f"its {IDX} cannot be read: {brief(error)}")
        return None
    if sha256_hex(offsets) != record.index_sha256:
        shard.wrong("", f"the sha256 of its {IDX} is not that of the manifest")
    return offsets


def _check_members(shard: ShardCheck, record: ShardRecord, stream: HashedStream) -> None:
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


def _check_sample(shard: ShardCheck, record: ShardRecord, key: str, members: dict[str, bytes]) -> None:
    try:
        sample = parse_sample(members["json"])
        as_written = canonical_json(sample)
    except (ValidationError, UnicodeError) as error:
        shard.wrong(f"{key}.json", f"is not a sample: {brief(error)}")
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
    if not image.reencoded and image.sha256 != image.original_sha256 and not _is_stripped(members["jpg"]):
        yield "json", "has two hashes for an image that was not re-encoded, and has its metadata"
    if sample.id != key or not image.original_sha256.startswith(key):
        yield "json", f"is about image {sample.id}"
    if image.split != record.split:
        yield "json", f"is of split {image.split}, in a shard of {record.split}"
    if members["txt"] != best_brief(sample).encode():
        yield "txt", "is not the best brief text of its json"


def _is_stripped(jpg: bytes) -> bool:
    return without_metadata(jpg) is jpg


def brief(error: Exception) -> str:
    """First lines of an error, on one."""
    return " ".join(str(error).split())[:200]
