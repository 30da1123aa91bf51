"""What is in a source, told from its listing and from some of its images, before anything is ingested."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence

from fld_engine.engine.data.images import ImageLimits, decode
from fld_engine.engine.inspect.addresses import look_into_list
from fld_engine.engine.inspect.seen import NUM_EXAMPLES, ImageExample, Seen, SourceLook
from fld_engine.engine.sources.addresses.known import recognised_list
from fld_engine.engine.sources.addresses.lists import fetching
from fld_engine.engine.sources.beside import is_picture
from fld_engine.engine.sources.item import PassedOver, Rejected, ScannedItem, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.open import Source as OpenSource
from fld_engine.engine.sources.open import check_new, check_spec, open_source, read_chunk
from fld_engine.engine.stages.ingest.account import count_lost, count_others
from fld_engine.schemas.errors import SourceError, TransportError, UnreadableImage

PARTS = 4
"""Chunks that are looked into, spread over the source: what was written last often differs from what was first."""
ROWS_PER_IMAGE = 100
"""Rows of a list of addresses that are read in place of an image: they cost less, and hosts have many."""
MAX_ASKED = 64
"""Chunks that are asked how many images they state; more are taken to be like these."""


def look_into(spec: SourceSpec, limits: ImageLimits, *, images: int = 200, seconds: float = 10.0) -> SourceLook:
    """Look into a source: its listing as a whole, and at most so many of its images, for about so long.

    At least one image is read, where there is one. Of a list of addresses, rows are, `ROWS_PER_IMAGE` for each image.
    Raises what an ingest of the source would: `SourceError` where there is nothing to read, `ConfigError` for wrong
    settings, `TransportError` where it cannot be listed.
    """
    check_spec(spec, where=f"source {spec.name}")
    listed: SourceSpec | None = spec
    if fetching(spec) is None:
        try:
            source = open_source(spec)
            chunks = source.chunks()
            check_new(chunks)
            return _look_into(source, chunks, limits, images, seconds)
        except SourceError:
            if (listed := recognised_list(spec)) is None:
                raise
    assert listed is not None, "looked at above"
    rows, is_fetched = images * ROWS_PER_IMAGE, fetching(spec) is not None
    return look_into_list(listed, rows=rows, seconds=seconds, is_fetched=is_fetched)


def _look_into(
    source: OpenSource, chunks: Sequence[SourceChunk], limits: ImageLimits, images: int, seconds: float
) -> SourceLook:
    parts = sorted({round(i * (len(chunks) - 1) / (PARTS - 1)) for i in range(PARTS)})
    end = time.monotonic() + seconds
    seen = Seen()
    known: dict[int, int] = {}  # images of chunks that were read to their ends
    for done, number in enumerate(parts):
        share = -(-(images - seen.images) // (len(parts) - done))
        left = (end - time.monotonic()) / (len(parts) - done)
        if done and (share <= 0 or left <= 0):
            break
        before = seen.images
        if _read(chunks[number], limits, seen, most=max(1, share), until=time.monotonic() + left):
            known[number] = seen.images - before
    total, is_exact = _number_of(source, chunks, known, seen)
    listed = chunks[0].passed_over if chunks else {}
    return seen.look(
        url=source.spec.url,
        kind=source.kind,
        files=sum(len(chunk.files) for chunk in chunks),
        num_bytes=sum(size for chunk in chunks for _, size in chunk.files),
        images=total,
        is_exact=is_exact,
        is_whole=len(known) == len(chunks),
        account=seen.counting.account(listed=listed),
    )


def _read(chunk: SourceChunk, limits: ImageLimits, seen: Seen, *, most: int, until: float) -> bool:
    """Look at the first images of a chunk; whether that were all."""
    aside: list[PassedOver] = []
    seen.examples.append([])
    files = {chunk.url(path) for path, _ in chunk.files}
    items = read_chunk(chunk, limits.max_bytes, passed_over=aside.append)
    number = 0
    is_whole = True
    try:
        for found in items:
            if isinstance(found, Rejected):
                count_others(seen.counting, [found])
                continue
            seen.in_files &= found[0].read.kind == "file" and found[0].read.url in files
            _add(found[0].licence or chunk.spec.licence, *found, limits, seen)
            number += 1
            if number >= most or time.monotonic() >= until:
                is_whole = not _more(items)
                break
    except TransportError as error:
        seen.unread.append(f"{chunk.base}: {error}")
        is_whole = False
    count_others(seen.counting, aside)
    return is_whole


def _more(items: Iterator[ScannedItem]) -> bool:
    """Whether anything follows; what that is was not counted, so it is asked once and no more."""
    return next(items, None) is not None


def _add(licence: str, item: SourceItem, data: bytes, limits: ImageLimits, seen: Seen) -> None:
    seen.images += 1
    seen.num_bytes += len(data)
    try:
        image = decode(data, limits)
    except UnreadableImage as error:
        count_others(seen.counting, [Rejected(uri=item.uri, reason=error.reason, detail=error.detail)])
        count_lost(seen.counting, item)
        return
    said = seen.add(item.annotations, licence)
    if len(seen.examples[-1]) < NUM_EXAMPLES:
        seen.examples[-1].append(
            ImageExample(
                uri=item.uri,
                width=image.width,
                height=image.height,
                format=image.format,
                licence=licence,
                said=said,
            )
        )


def _number_of(
    source: OpenSource, chunks: Sequence[SourceChunk], known: Mapping[int, int], seen: Seen
) -> tuple[int, bool]:
    """How many images there are, and whether that was counted."""
    if seen.images and seen.in_files:
        return sum(is_picture(path) for chunk in chunks for path, _ in chunk.files), True
    others = [number for number in range(len(chunks)) if number not in known]
    asked = [source.number(chunks[number]) for number in others[:MAX_ASKED]]
    stated = [number for number in asked if number is not None]
    if len(stated) == len(asked):
        mean = sum(stated) / max(1, len(stated))
        return sum(known.values()) + round(mean * len(others)), len(asked) == len(others)
    mean_bytes = seen.num_bytes / max(1, seen.images)
    unknown = sum(size for number in others for _, size in chunks[number].files)
    return sum(known.values()) + round(unknown / mean_bytes if mean_bytes else 0), False
