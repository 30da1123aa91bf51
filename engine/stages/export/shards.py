"""Samples to shards: plain USTAR files in WebDataset layout, the same bytes for the same samples.

A sample is exactly `<id>.jpg`, `<id>.json` and `<id>.txt`. The samples of a group of partitions are dealt to the
shards of their split in the order of `sha256("seed:id")`, and stand in a shard sorted by id.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.data.images import ImageLimits, decode, jpeg_bytes
from fld_engine.engine.data.jpeg_metadata import without_metadata
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tar import BLOCK, TarStream, member_bytes
from fld_engine.engine.plan.export_settings import Metadata
from fld_engine.engine.stages.export.companions.energon import shard_offsets
from fld_engine.engine.stages.export.manifest import EXTENSIONS, IDX, SHARDS, Counts, ShardRecord, count
from fld_engine.engine.stages.export.sample_index import Facts, Place, facts_of, index_table
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RootError
from fld_engine.schemas.sample import Sample, best_brief, canonical_json, parse_sample

JPEG_QUALITY = 95


class ShardLimits(Frozen):
    """When a shard is full; a single sample larger than `max_bytes` gets a shard of its own."""

    max_samples: int = Field(gt=0)
    max_bytes: int = Field(gt=0)


@dataclass(frozen=True, slots=True)
class PreparedSample:
    """A sample as it waits for its image: small enough to hold those of a whole group."""

    id: str
    split: str
    reencoded: bool
    json: bytes
    txt: bytes
    counts: Counts
    facts: Facts


@dataclass(frozen=True, slots=True)
class WrittenGroup:
    """The shards of one group, and the rows of their samples for `index.parquet`, in shard order."""

    shards: list[ShardRecord]
    index: pa.Table


Image = bytes | memoryview
_Written = tuple[ShardRecord, list[tuple[Place, Facts]]]


@dataclass(frozen=True, slots=True)
class _Packed:
    jpg: Image
    json: bytes
    txt: bytes
    prepared: PreparedSample

    @property
    def num_bytes(self) -> int:
        """Size in a tar."""
        return sum(member_bytes(len(getattr(self, name))) for name in EXTENSIONS)


def prepare(sample: Sample) -> PreparedSample:
    """Everything about a sample that goes into a shard, but its image."""
    return PreparedSample(
        id=sample.id,
        split=sample.image.split,
        reencoded=sample.image.reencoded,
        json=canonical_json(sample),
        txt=best_brief(sample).encode(),
        counts=count(sample),
        facts=facts_of(sample),
    )


def write_group(
    samples: Iterable[PreparedSample],
    read_image: Callable[[str], Image],
    out: Store,
    *,
    group: int,
    seed: int,
    limits: ShardLimits,
    images: ImageLimits,
    metadata: Metadata = "strip",
    on_sample: Callable[[str], None] = lambda image_id: None,
) -> WrittenGroup:
    """Write the shards `shards/{split}-{group}-{number}.tar` of one group, and their offsets, under the folder `out`.

    `read_image` gives the original bytes of an image by id; `on_sample` is told the id of each image when its turn
    comes. A shard is written, and its images are compared with their ids, while those of the next one are read or
    re-encoded: memory holds the images of two shards, as `read_image` gives them, and the prepared samples. Each shard
    appears under its name whole, or not at all.

    Raises `RootError` where the bytes are not those the image is named after.
    """
    by_split: dict[str, list[PreparedSample]] = defaultdict(list)
    for sample in samples:
        by_split[sample.split].append(sample)
    written: list[Future[_Written]] = []
    with ThreadPoolExecutor(2, thread_name_prefix="fld-shard") as pool:
        for split in sorted(by_split):
            dealt = sorted(by_split[split], key=lambda s: hashlib.sha256(f"{seed}:{s.id}".encode()).digest())
            packed = _pack_all(dealt, read_image, images, metadata, on_sample)
            for number, members in enumerate(_deal(packed, limits)):
                members.sort(key=lambda member: member.prepared.id)
                if written:
                    written[-1].result()
                checked = pool.submit(_check_images, members)
                name = f"{split}-{group:05d}-{number:04d}.tar"
                written.append(pool.submit(_write_shard, out, name, members, checked))
    shards = [future.result() for future in written]
    return WrittenGroup([record for record, _ in shards], index_table([row for _, rows in shards for row in rows]))


def _pack_all(
    samples: Sequence[PreparedSample],
    read_image: Callable[[str], Image],
    images: ImageLimits,
    metadata: Metadata,
    on_sample: Callable[[str], None],
) -> Iterator[_Packed]:
    for sample in samples:
        on_sample(sample.id)
        yield _pack(sample, read_image(sample.id), images, metadata)


def _pack(sample: PreparedSample, original: Image, images: ImageLimits, metadata: Metadata) -> _Packed:
    """The sample's three members.

    The image is the original bytes, without what they tell beside the picture where that is to be left out; or a JPEG
    (4:4:4) of its upright RGB pixels.
    """
    if sample.reencoded:
        jpg: Image = jpeg_bytes(decode(bytes(original), images).pixels, quality=JPEG_QUALITY)
    else:
        jpg = without_metadata(original) if metadata == "strip" else original
    if jpg is original:
        return _Packed(original, sample.json, sample.txt, sample)
    _check_image(sample.id, original)
    parsed = parse_sample(sample.json)
    image = parsed.image.model_copy(update={"sha256": sha256_hex(jpg)})
    return _Packed(jpg, canonical_json(parsed.model_copy(update={"image": image})), sample.txt, sample)


def _check_images(members: Sequence[_Packed]) -> None:
    """Compare the images of a shard that are handed on as they are with their ids; the others were, when changed."""
    for member in members:
        if member.json is member.prepared.json:
            _check_image(member.prepared.id, member.jpg)


def _check_image(image_id: str, original: Image) -> None:
    sha256 = sha256_hex(original)
    if not sha256.startswith(image_id):
        raise RootError(
            f"image {image_id}: the stored bytes have sha256 {sha256}, they are not those that were ingested; "
            "the root is damaged: ingest the image again into a new root"
        )


def _deal(packed: Iterable[_Packed], limits: ShardLimits) -> Iterator[list[_Packed]]:
    """Consecutive runs of samples that each fill one shard."""
    shard: list[_Packed] = []
    num_bytes = closing = 2 * BLOCK
    for sample in packed:
        if shard and (len(shard) == limits.max_samples or num_bytes + sample.num_bytes > limits.max_bytes):
            yield shard
            shard, num_bytes = [], closing
        shard.append(sample)
        num_bytes += sample.num_bytes
    if shard:
        yield shard


def _write_shard(out: Store, name: str, members: Sequence[_Packed], checked: Future[None]) -> _Written:
    """Write members in the order given; the shard appears once `checked` has ended well."""
    rows = []
    with out.open_commit(f"{SHARDS}/{name}") as stream:
        with TarStream(stream) as tar:
            for position, sample in enumerate(members):
                start = tar.num_bytes
                prepared = sample.prepared
                spans: list[int] = []
                for extension in EXTENSIONS:
                    data = getattr(sample, extension)
                    spans += tar.add(f"{prepared.id}.{extension}", data), len(data)
                place = Place(prepared.id, prepared.split, name, position, start, tar.num_bytes - start, *spans)
                rows.append((place, prepared.facts))
        checked.result()
    offsets = out.write_bytes(
        f"{SHARDS}/{name}{IDX}", shard_offsets([*(place.offset for place, _ in rows), tar.num_bytes - 2 * BLOCK])
    )
    record = ShardRecord(
        name=name,
        split=members[0].prepared.split,
        samples=len(members),
        bytes=tar.num_bytes,
        sha256=tar.sha256,
        index_sha256=offsets.sha256,
        counts=Counts.total(sample.prepared.counts for sample in members),
    )
    return record, rows
