"""Tars in WebDataset layout: members with the same key (the name up to the first dot of its last part) are one sample.

Of a sample, the first member with an image's extension is the image; `.txt` and the keys `caption`, `captions`, `text`
and `texts` of `.json` are captions from the web; `.cls` is the label. Hidden members and other files are passed over.
"""

from __future__ import annotations

import json
import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, ClassVar

from fld_engine.engine.sources.classes import class_labels
from fld_engine.engine.sources.files import open_streamed
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    clean_text,
    too_large,
    unsafe_name,
    web_captions,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind

CAPTION_KEYS = ("caption", "captions", "text", "texts")
TEXT_SUFFIXES = frozenset({"txt", "json", "cls"})
MAX_TEXT_BYTES = 2**20
"""Larger `.txt`, `.json` and `.cls` members are not read."""

_HEADER_ERRORS = (tarfile.TarError, OSError, ValueError, LookupError, ArithmeticError, RecursionError, MemoryError)
"""What `tarfile` raises on damaged headers."""


@dataclass(frozen=True, slots=True)
class _Member:
    """A regular file in a tar; `data` is `None` where it is too large to be read or is not needed."""

    key: str
    suffix: str
    uri: str
    offset: int
    num_bytes: int
    data: bytes | None


class TarSource:
    """Tars under a folder, of a pattern, or a single one; captions beside images are from the web."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts"})
    uses: ClassVar[frozenset[str]] = frozenset()
    expects = "uncompressed tar (.tar)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(listing.ending({"tar"}))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """One chunk per tar, sorted by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        tars = listing.ending({"tar"})
        if not tars:
            raise SourceError(
                f"source {spec.url} holds no .tar among its {len(listing.files)} files; "
                f"compressed tars cannot be read in places: decompress them first{listing.outside()}"
            )
        return listing.chunk_a_file(spec, "tars", tars)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Samples in tar order; of a damaged tar everything before the damage, and one rejected row for the rest."""
        ((path, num_bytes),) = chunk.files
        with open_streamed(chunk.url(path), num_bytes) as stream:
            seen: set[str] = set()
            for found in _samples(_members(stream, num_bytes, chunk.uri(path), max_bytes)):
                if isinstance(found, Rejected | PassedOver):
                    yield found
                elif found[0].key in seen:
                    yield Rejected(
                        uri=found[0].uri, reason="duplicate_key", detail=f"key {found[0].key!r} was used before"
                    )
                else:
                    seen.add(found[0].key)
                    yield from _sample(found, chunk.url(path), max_bytes)


def _samples(members: Iterable[_Member | Rejected | PassedOver]) -> Iterator[list[_Member] | Rejected | PassedOver]:
    """Neighbours with the same key; members that are none come before the sample they stand in."""
    group: list[_Member] = []
    for member in members:
        if isinstance(member, Rejected | PassedOver):
            yield member
            continue
        if group and member.key != group[0].key:
            yield group
            group = []
        group.append(member)
    if group:
        yield group


def _sample(members: list[_Member], url: str, max_bytes: int) -> Iterator[ReadItem]:
    parts: dict[str, _Member] = {}
    for member in members:
        if member.suffix in parts or (member.suffix in IMAGE_EXTENSIONS and parts.keys() & IMAGE_EXTENSIONS):
            what = f"key {member.key!r} has a .{member.suffix} or another image already"
            yield Rejected(uri=member.uri, reason="duplicate_key", detail=what)
        else:
            parts[member.suffix] = member
    image = next((member for suffix, member in parts.items() if suffix in IMAGE_EXTENSIONS), None)
    if image is None:
        detail = f"the sample has only {', '.join('.' + suffix for suffix in parts)}"
        yield Rejected(uri=members[0].uri, reason="no_image", detail=detail)
        return
    if image.data is None:
        yield too_large(image.uri, image.num_bytes, max_bytes)
        return
    for suffix in sorted(parts.keys() - TEXT_SUFFIXES - {image.suffix}):
        yield PassedOver(uri=parts[suffix].uri, reason="unknown_extension", of_image=image.uri)
    captions: list[object] = []
    label = ""
    for suffix in ("txt", "json", "cls"):
        said = _said(parts[suffix]) if suffix in parts else []
        if isinstance(said, Rejected | PassedOver):
            yield said.model_copy(update={"of_image": image.uri})
        elif suffix == "cls":
            label = clean_text("".join(map(str, said)))
        else:
            captions += said
    annotations, rejected = web_captions(captions, image.uri)
    yield from rejected
    annotations = annotations.model_copy(update={"labels": class_labels(label)})
    where = Locator(kind="tar", url=url, offset=image.offset, length=image.num_bytes)
    yield SourceItem(uri=image.uri, source_label=label, annotations=annotations, read=where), image.data


def _said(member: _Member) -> list[object] | Rejected | PassedOver:
    """What a text member says: the caption keys of a `.json`, the whole of any other."""
    if member.data is None:
        large = too_large(member.uri, member.num_bytes, MAX_TEXT_BYTES)
        return large.model_copy(update={"what": "annotation", "by": "web"})
    try:
        text = member.data.decode("utf-8-sig")
        fields = json.loads(text) if member.suffix == "json" else {"text": text}
    except (ValueError, RecursionError) as error:
        detail = f"{type(error).__name__}: {error}"
        return Rejected(uri=member.uri, reason="bad_text", detail=detail, what="annotation", by="web")
    values = [fields[key] for key in CAPTION_KEYS if key in fields] if isinstance(fields, dict) else []
    if not values:
        detail = f"none of the keys {', '.join(CAPTION_KEYS)}"
        return PassedOver(uri=member.uri, reason="form_not_read", detail=detail, what="annotation", by="web")
    return [caption for value in values for caption in (value if isinstance(value, list) else [value])]


def _members(stream: IO[bytes], num_bytes: int, uri: str, max_bytes: int) -> Iterator[_Member | Rejected | PassedOver]:
    """Members in order; the last thing that comes is why the tar could not be read to its end, if it could not."""
    try:
        tar = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115 - the caller closes the stream
        end = 0
        while (info := tar.next()) is not None:
            if tar.offset <= end or info.size < 0:
                yield Rejected(uri=uri, reason="corrupt", detail=f"the header before byte {info.offset_data} is wrong")
                return
            end = tar.offset
            if info.isreg() and info.offset_data + info.size > num_bytes:
                yield Rejected(uri=uri, reason="truncated", detail=f"ends inside member {info.name!r}")
                return
            member = _member(stream, info, uri, max_bytes)
            if member is not None:
                yield member
        stream.seek(tar.offset)
        mark = stream.read(tarfile.BLOCKSIZE)
    except _HEADER_ERRORS as error:
        reason = "empty" if num_bytes == 0 else "truncated" if "end of data" in str(error) else "corrupt"
        yield Rejected(uri=uri, reason=reason, detail=f"{type(error).__name__}: {error}")
        return
    if len(mark) < tarfile.BLOCKSIZE:
        yield Rejected(uri=uri, reason="truncated", detail=f"ends at byte {num_bytes} without an end-of-archive mark")
    elif any(mark):
        yield Rejected(uri=uri, reason="corrupt", detail=f"no header at byte {tar.offset}; nothing after it is read")


def _member(
    stream: IO[bytes], info: tarfile.TarInfo, uri: str, max_bytes: int
) -> _Member | Rejected | PassedOver | None:
    """One member, read; `None` for folders, which hold nothing."""
    place = f"{uri}!{info.name}"
    name = info.name.removeprefix("./")
    if info.isdir():
        return None
    if reason := unsafe_name(name):
        return Rejected(uri=place, reason="bad_name", detail=f"{reason} is not followed")
    if not info.isreg() or info.issparse():
        return Rejected(uri=place, reason="not_a_file", detail="a link, a device or a sparse file is not followed")
    if any(part.startswith(".") for part in name.split("/")):
        return PassedOver(uri=place, reason="hidden")
    folder, base = posixpath.split(name)
    stem, _, suffix = base.partition(".")
    suffix = suffix.lower()
    limit = max_bytes if suffix in IMAGE_EXTENSIONS else MAX_TEXT_BYTES if suffix in TEXT_SUFFIXES else -1
    data = None
    if info.size <= limit:
        stream.seek(info.offset_data)
        data = stream.read(info.size)
    return _Member(posixpath.join(folder, stem), suffix, place, info.offset_data, info.size, data)
