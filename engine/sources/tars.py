"""WebDataset tars: neighbouring members of one key (the name up to the first dot of its last part) are one sample.

`samples` says which members are images, and what the others tell of them: captions from the web in `.txt` and its like
and in `.json`, boxes and classes in `.json`, the class in `.cls`. Hidden members and other files are passed over.
Compressed tars are streamed once to be scanned, and once more to be read again.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import lzma
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, ClassVar, cast

from fld_engine.engine.sources.classes import class_labels
from fld_engine.engine.sources.files import changed, open_streamed
from fld_engine.engine.sources.img2dataset import failures, tables_of
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    too_large,
    unsafe_name,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.engine.sources.said import Reading, Said
from fld_engine.engine.sources.samples import Member, add_text, key_and_suffix, sample_of, text_limit, told_of_all
from fld_engine.engine.sources.texts import clean_text
from fld_engine.schemas.errors import SourceError, TransportError
from fld_engine.schemas.kinds import Kind

TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
"""How the names of tars end."""
MAX_MEMBERS = 256
"""Members of one key that are held together; more of them are taken as further samples."""

_OPENERS: dict[str, Any] = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}
_DAMAGE = (EOFError, zlib.error, lzma.LZMAError)
"""What decompressors raise on damaged bytes, beside `OSError`."""
_HEADER_ERRORS = (
    tarfile.TarError, OSError, ValueError, LookupError, ArithmeticError, RecursionError, MemoryError, *_DAMAGE,
)  # fmt: skip
"""What `tarfile` raises on damaged headers."""


class TarSource:
    """Tars under a folder, of a pattern, or a single one, also compressed; captions beside images are from the web."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts", "objects", "masks", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"caption_columns"})
    expects = "tar (.tar, .tar.gz, .tgz, .tar.bz2, .tar.xz)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(_tars(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """One chunk per tar, sorted by path, with the table that img2dataset writes beside it."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        tars = _tars(listing)
        if not tars:
            raise SourceError(
                f"source {spec.url} holds no {', '.join(TARS)} among its {len(listing.files)} files{listing.outside()}"
            )
        return listing.chunk_a_file(spec, "tars", tars, beside=tables_of(listing))

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Samples in tar order; of a damaged tar everything before the damage, and one rejected row for the rest."""
        path, num_bytes = chunk.files[-1]
        for table, size in chunk.files[:-1]:
            yield from failures(chunk.url(table), size, chunk.uri(table))
        packed = _compression(path or chunk.base)
        reading = Reading(captions=chunk.spec.caption_columns)
        with open_streamed(chunk.url(path), num_bytes) as stored, _unpacked(stored, packed) as stream:
            seen: set[str] = set()
            last = ""
            members = _members(stream, 2**62 if packed else num_bytes, chunk.uri(path), max_bytes)
            for found in _samples(members):
                if isinstance(found, Rejected | PassedOver):
                    yield found
                elif found[0].key in seen and found[0].key != last:
                    yield Rejected(
                        uri=found[0].uri, reason="duplicate_key", detail=f"key {found[0].key!r} was used before"
                    )
                else:
                    seen.add(last := found[0].key)
                    kind = "tars" if packed else "tar"
                    yield from _sample(found, Locator(kind=kind, url=chunk.url(path)), reading, max_bytes)

    @staticmethod
    def read_again(locators: Sequence[Locator]) -> Iterator[bytes]:
        """Bytes of `tars` locators, in order: `length` bytes from `offset` of what a compressed tar unpacks to.

        Neighbours in one tar, offsets rising, are read in one pass. Raises `SourceError` where the tar is gone, or
        cannot be unpacked to there.
        """
        for url, group in itertools.groupby(locators, key=lambda at: at.url):
            try:
                with open_streamed(url) as stored, _unpacked(stored, _compression(url)) as stream:
                    for at in group:
                        stream.seek(at.offset)
                        data = stream.read(at.length)
                        if len(data) < at.length:
                            raise EOFError(f"it ends before byte {at.offset + at.length}")
                        yield data
            except TransportError as error:
                raise changed(url, error) from error
            except (OSError, *_DAMAGE) as error:
                raise SourceError(f"{url} could be read when it was scanned, and now not: {error}") from error


def _tars(listing: Listing) -> list[tuple[str, int]]:
    return [(path, size) for path, size in listing.files if listing.name(path).lower().endswith(TARS)]


def _compression(path: str) -> str:
    last = path.lower().rpartition(".")[2]
    return {"tar": "", "tgz": "gz", "tbz2": "bz2", "txz": "xz"}.get(last, last)


def _unpacked(stored: IO[bytes], compression: str) -> IO[bytes]:
    return cast(IO[bytes], _OPENERS[compression](stored)) if compression else stored


def _samples(members: Iterable[Member | Rejected | PassedOver]) -> Iterator[list[Member] | Rejected | PassedOver]:
    """Neighbours of one key; members that are none come before the sample they stand in."""
    group: list[Member] = []
    for member in members:
        if isinstance(member, Rejected | PassedOver):
            yield member
            continue
        if group and (member.key != group[0].key or len(group) == MAX_MEMBERS):
            yield group
            group = []
        group.append(member)
    if group:
        yield group


def _sample(members: list[Member], where: Locator, reading: Reading, max_bytes: int) -> Iterator[ReadItem]:
    sample = sample_of(members)
    yield from sample.others
    for image in sample.images:
        if image.data is None:
            yield too_large(image.uri, image.num_bytes, max_bytes)
            continue
        said = Said(image.uri, image.data)
        labels = [add_text(said, text, reading) for text in sample.of_image(image)]
        label = clean_text("".join(labels))
        annotations = said.annotations()
        annotations = annotations.model_copy(update={"labels": (*annotations.labels, *class_labels(label))})
        yield from said.others_of_image()
        at = where.model_copy(update={"offset": image.offset, "length": image.num_bytes})
        yield SourceItem(uri=image.uri, source_label=label, annotations=annotations, read=at), image.data
    yield from told_of_all(sample)


def _members(stream: IO[bytes], num_bytes: int, uri: str, max_bytes: int) -> Iterator[Member | Rejected | PassedOver]:
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
        reason = "empty" if num_bytes == 0 else "truncated" if _ended(error) else "corrupt"
        yield Rejected(uri=uri, reason=reason, detail=f"{type(error).__name__}: {error}")
        return
    if len(mark) < tarfile.BLOCKSIZE:
        where = "without an end-of-archive mark"
        yield Rejected(uri=uri, reason="truncated", detail=f"ends at byte {min(num_bytes, tar.offset)} {where}")
    elif any(mark):
        yield Rejected(uri=uri, reason="corrupt", detail=f"no header at byte {tar.offset}; nothing after it is read")


def _ended(error: BaseException) -> bool:
    return isinstance(error, EOFError) or "end of data" in str(error)


def _member(
    stream: IO[bytes], info: tarfile.TarInfo, uri: str, max_bytes: int
) -> Member | Rejected | PassedOver | None:
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
    key, suffix = key_and_suffix(name)
    limit = max_bytes if suffix.rpartition(".")[2] in IMAGE_EXTENSIONS else text_limit(suffix)
    data = None
    if info.size <= limit:
        stream.seek(info.offset_data)
        data = stream.read(info.size)
        if len(data) < info.size:
            raise EOFError(f"ends inside member {info.name!r}")
    return Member(key, suffix, place, info.offset_data, info.size, data)
