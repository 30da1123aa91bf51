"""What is in a source, told from its listing and from some of its images, before anything is ingested."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fld_engine.engine.data.images import ImageLimits, decode
from fld_engine.engine.data.source_account import Counting, SourceAccount
from fld_engine.engine.sources.beside import is_picture
from fld_engine.engine.sources.item import PassedOver, Rejected, ScannedItem, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.open import Source as OpenSource
from fld_engine.engine.sources.open import check_new, open_source, read_chunk
from fld_engine.engine.stages.ingest.account import count_lost, count_others, count_read
from fld_engine.schemas.annotations import Annotations, Frozen, Region, Source, Text
from fld_engine.schemas.errors import TransportError, UnreadableImage
from fld_engine.schemas.kinds import OWN_TEXTS

PARTS = 4
"""Chunks that are looked into, spread over the source: what was written last often differs from what was first."""
NUM_EXAMPLES = 10
MAX_ASKED = 64
"""Chunks that are asked how many images they state; more are taken to be like these."""
MAX_SHOWN = 8
"""Annotations of a form that an example shows."""


class ImageExample(Frozen):
    """An image as it will be read. `said` maps form, such as `objects`, to the first few things said in it."""

    uri: str
    width: int
    height: int
    format: str
    licence: str
    said: Mapping[str, Sequence[str]]


class SourceLook(Frozen):
    """What a source holds, as far as it was looked into.

    `images` is how many there are: counted where `is_exact`, else estimated from the bytes of those that were read,
    `looked_at`; `is_whole` says that these were all. `said` maps annotator → form → annotations of them, `images_with`
    form → images that have any. `account` has every reason by which something is refused or passed over, in what was
    looked into and in the listing of the whole; `unread` says what could not be had.
    """

    url: str
    kind: str
    files: int
    num_bytes: int
    images: int
    is_exact: bool
    looked_at: int
    is_whole: bool
    said: Mapping[str, Mapping[str, int]]
    images_with: Mapping[str, int]
    licences: Mapping[str, int]
    examples: Sequence[ImageExample]
    account: SourceAccount
    unread: Sequence[str] = ()


@dataclass
class _Seen:
    """What is found while a source is looked into."""

    counting: Counting = field(default_factory=Counting)
    said: dict[str, Counter[str]] = field(default_factory=dict)
    images_with: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    examples: list[list[ImageExample]] = field(default_factory=list)
    images: int = 0
    num_bytes: int = 0
    in_files: bool = True  # each is a file of the listing
    unread: list[str] = field(default_factory=list)


def look_into(spec: SourceSpec, limits: ImageLimits, *, images: int = 200, seconds: float = 10.0) -> SourceLook:
    """Look into a source: its listing as a whole, and at most so many of its images, for about so long.

    At least one image is read, where there is one. Raises what an ingest of the source would: `SourceError` where there
    is nothing to read, `ConfigError` for wrong settings, `TransportError` where it cannot be listed.
    """
    source = open_source(spec)
    chunks = source.chunks()
    check_new(chunks)
    parts = sorted({round(i * (len(chunks) - 1) / (PARTS - 1)) for i in range(PARTS)})
    end = time.monotonic() + seconds
    seen = _Seen()
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
    return SourceLook(
        url=spec.url,
        kind=source.kind,
        files=sum(len(chunk.files) for chunk in chunks),
        num_bytes=sum(size for chunk in chunks for _, size in chunk.files),
        images=total,
        is_exact=is_exact,
        looked_at=seen.images,
        is_whole=len(known) == len(chunks),
        said={annotator: dict(forms) for annotator, forms in sorted(seen.said.items())},
        images_with=dict(seen.images_with),
        licences=dict(seen.licences),
        examples=_spread(seen.examples),
        account=seen.counting.account(listed=listed),
        unread=seen.unread,
    )


def _read(chunk: SourceChunk, limits: ImageLimits, seen: _Seen, *, most: int, until: float) -> bool:
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


def _add(licence: str, item: SourceItem, data: bytes, limits: ImageLimits, seen: _Seen) -> None:
    seen.images += 1
    seen.num_bytes += len(data)
    try:
        image = decode(data, limits)
    except UnreadableImage as error:
        count_others(seen.counting, [Rejected(uri=item.uri, reason=error.reason, detail=error.detail)])
        count_lost(seen.counting, item)
        return
    count_read(seen.counting, item.annotations)
    seen.licences[licence] += 1
    said: dict[str, list[str]] = {}
    for annotator, form, words in _forms(item.annotations):
        seen.said.setdefault(annotator, Counter())[form] += 1
        said.setdefault(form, []).append(words)
    seen.images_with.update(said.keys())
    if len(seen.examples[-1]) < NUM_EXAMPLES:
        shown = {form: words[:MAX_SHOWN] for form, words in said.items()}
        seen.examples[-1].append(
            ImageExample(
                uri=item.uri,
                width=image.width,
                height=image.height,
                format=image.format,
                licence=licence,
                said=shown,
            )
        )


def _forms(annotations: Annotations) -> Iterator[tuple[str, str, str]]:
    """(annotator, form, what is said) of every annotation."""
    for label in annotations.labels:
        yield _by(label.source), "labels", label.label
    for absence in annotations.absences:
        yield _by(absence.source), "absences", absence.label
    for text in annotations.texts:
        yield _by(text.source), f"{text.granularity.replace('_', ' ')} texts", text.text
        yield from _grounded(text)
    for region in annotations.regions:
        yield from _region(region)


def _region(region: Region) -> Iterator[tuple[str, str, str]]:
    by = _by(region.source)
    own = [text.text for text in region.texts if text.kind == OWN_TEXTS[region.kind]]
    yield by, "objects" if region.kind == "object" else "scene text", " / ".join(own)
    for text in region.texts:
        if text.kind != OWN_TEXTS[region.kind]:
            yield by, f"region texts ({text.kind})", text.text
    for _ in region.masks:
        yield by, "masks", " / ".join(own)


def _grounded(text: Text) -> Iterator[tuple[str, str, str]]:
    for phrase in text.phrases:
        yield _by(phrase.source or text.source), "phrases", f"{phrase.phrase} ({len(phrase.regions)} boxes)"


def _by(source: Source | None) -> str:
    return source.annotator if source is not None else ""


def _number_of(
    source: OpenSource, chunks: Sequence[SourceChunk], known: Mapping[int, int], seen: _Seen
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


def _spread(examples: Sequence[Sequence[ImageExample]]) -> list[ImageExample]:
    """Examples of every part, the first of each first."""
    turns = itertools.zip_longest(*examples)
    return [one for turn in turns for one in turn if one is not None][:NUM_EXAMPLES]
