"""Files of any fsspec file system, read in bounded batches."""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from fld_engine.engine.data.secrets import url_to_fs
from fld_engine.engine.data.transport import DEFINITE, Range, StoredFile, asked, read_side_by_side, streamed
from fld_engine.engine.sources.archives import chain_of, open_zip
from fld_engine.engine.sources.item import Locator, Rejected, SourceChunk, too_large
from fld_engine.schemas.errors import SourceError, TransportError

READ_FILES = 32
READ_BYTES = 64 * 2**20
"""Bounds of what is asked for at once: enough to hide the latency of an object store, little enough to hold."""


def locate(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path on it. Local names are taken literally, whatever characters they have.

    References to secrets in other addresses are resolved: what comes out of data must have none (`refers`).
    """
    if "://" not in url or url.startswith("file://"):
        fs = LocalFileSystem()
        return fs, fs._strip_protocol(url)
    if chain := chain_of(url):
        outer, path = locate(chain.outer)
        info = asked(chain.outer, lambda: outer.info(path))
        return open_zip(outer, path, chain.outer, str((info["size"], version_of(info)))), chain.inner
    return url_to_fs(url, use_listings_cache=False)


def path_on(url: str) -> str:
    """The path of a file on its file system, which is not opened where it is a zip."""
    chain = chain_of(url)
    return chain.inner if chain else str(locate(url)[1])


def version_of(entry: Mapping[str, Any]) -> str:
    """The content that an entry of a listing has now, in its file system's terms; empty where it does not tell.

    An object store's tag of the content, or the time of the last change, or the checksum that a zip has.
    """
    told = (entry.get(key) for key in ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated", "CRC"))
    return str(next((value for value in told if value), ""))


def read_ranges(
    fs: Any, ranges: Sequence[Range], sizes: Sequence[int], urls: Sequence[str]
) -> Iterator[bytes | TransportError]:
    """Bytes of each range in order, or an error of a `DEFINITE` kind; `sizes` bound how many are held at once.

    `sizes` are also what is there at least, 0 where that is not known. Every other `TransportError` is raised: it says
    nothing about the file.
    """
    for start, stop in _batches(sizes):
        part = slice(start, stop)
        for found in read_side_by_side(fs, ranges[part], sizes[part], urls[part]):
            if isinstance(found, TransportError) and found.kind not in DEFINITE:
                raise found
            yield found


def read_located(locators: Sequence[Locator]) -> Iterator[bytes]:
    """Bytes of `file` and `tar` locators, in order.

    Raises `SourceError` where something is no longer there, `TransportError` where it could not be had.
    """
    for _, group in itertools.groupby(locators, key=lambda locator: _file_system_of(locator.url)):
        same_fs = list(group)
        fs, _ = locate(same_fs[0].url)
        ranges: list[Range] = [
            (path_on(at.url), at.offset, at.offset + at.length) if at.kind == "tar" else (path_on(at.url), None, None)
            for at in same_fs
        ]
        read = read_ranges(fs, ranges, [at.length for at in same_fs], [at.url for at in same_fs])
        for at, found in zip(same_fs, read, strict=True):
            if isinstance(found, TransportError):
                raise changed(at.url, found)
            yield found


def read_whole(url: str) -> bytes:
    """A file that is read at once. Raises `TransportError`."""
    fs, path = locate(url)
    size = asked(url, lambda: int(fs.info(path)["size"] or 0))
    (found,) = read_side_by_side(fs, [(path, None, None)], [size], [url])
    if isinstance(found, TransportError):
        raise found
    return found


def open_streamed(url: str, num_bytes: int | None = None) -> io.BufferedReader:
    """A file that is read from beginning to end; `num_bytes` as listed. What fails is a `TransportError`."""
    fs, path = locate(url)
    return streamed(fs, path, url, num_bytes)


def open_random(url: str, num_bytes: int | None = None) -> StoredFile:
    """A file that is read in places, each asked for as it is. What fails is a `TransportError`."""
    fs, path = locate(url)
    return StoredFile(fs, path, url, num_bytes)


def changed(url: str, error: TransportError) -> SourceError | TransportError:
    """What it means that something that was scanned cannot be read again: where it is gone, the source changed."""
    if error.kind != "gone":
        return error
    made = SourceError(f"{url} could be read when it was scanned, and now not: {error}")
    made.__cause__ = error
    return made


def read_files(chunk: SourceChunk, max_bytes: int) -> Iterator[tuple[str, bytes | Rejected]]:
    """(path, bytes) of every file of a chunk, or why it is not used.

    A file that is gone, or that may not be read, is named where others of its chunk can be read to the end. Where none
    can, a mount, a bucket or an account is at fault, and no file: `TransportError`, as for any other failure.
    """
    fs, base = locate(chunk.url(chunk.files[0][0]) if chunk.kind == "zip" and chunk.files else chunk.base)
    full = {path: _path(chunk, base, path) for path, _ in chunk.files}
    odd = {p for p in full if isinstance(fs, LocalFileSystem) and irregular(full[p])}
    wanted = [(path, size) for path, size in chunk.files if size <= max_bytes and path not in odd]
    contents = read_ranges(
        fs,
        [(full[path], None, None) for path, _ in wanted],
        [size for _, size in wanted],
        [chunk.url(path) for path, _ in wanted],
    )
    readable, absent = "", None
    for path, size in chunk.files:
        if path in odd:  # a pipe or a device would be waited for, for ever
            detail = "a pipe, a device, a folder or a link that leads nowhere"
            yield path, Rejected(uri=chunk.uri(path), reason="not_a_file", detail=detail)
        elif size > max_bytes:
            yield path, too_large(chunk.uri(path), size, max_bytes)
        elif isinstance(found := next(contents), TransportError):
            absent = found if found.kind != "damaged" else absent
            yield path, out_of_reach(chunk.uri(path), found)
        else:
            readable = readable or full[path]
            yield path, found
    if absent is not None and not (readable and _still_there(fs, readable)):
        raise absent


def out_of_reach(uri: str, error: TransportError) -> Rejected:
    """A file that is gone, forbidden or damaged; the detail leaves out where on this machine it is."""
    if error.kind == "damaged":
        return Rejected(uri=uri, reason="corrupt", detail=str(error))
    detail = {"gone": "listed, and not there any more", "forbidden": "access to it is refused"}[error.kind]
    return Rejected(uri=uri, reason=error.kind, detail=detail)


def _still_there(fs: Any, path: str) -> bool:
    try:
        asked(path, lambda: fs.cat_file(path, start=0, end=1))
    except TransportError:
        return False
    return True


def _path(chunk: SourceChunk, base: str, path: str) -> str:
    """A file on the file system of the chunk's base; `allow_outside` lets its name be an absolute one, or a URL."""
    inside = f"{base}/{path}" if path else base
    named = f"{chunk.base}/{path}" if path else chunk.base
    return inside if (url := chunk.url(path)) == named else path_on(url)


def _file_system_of(url: str) -> tuple[str, str]:
    chain = chain_of(url)
    return (chain.protocol, chain.outer) if chain else (url.partition("://")[0], "")


def irregular(path: str) -> bool:
    """Whether something on this machine's disk is no file: a pipe, a device, a folder, a link that leads nowhere."""
    return os.path.lexists(path) and not os.path.isfile(path)


def _batches(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """[start, stop) of consecutive items within `READ_FILES` and `READ_BYTES`; one item may be larger."""
    start, held = 0, 0
    for stop, size in enumerate(sizes):
        if stop > start and (stop - start == READ_FILES or held + size > READ_BYTES):
            yield start, stop
            start, held = stop, 0
        held += size
    if start < len(sizes):
        yield start, len(sizes)
