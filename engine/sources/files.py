"""Files of any fsspec file system: listed in a fixed order, cut into chunks, read in bounded batches."""

from __future__ import annotations

import io
import itertools
import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import fsspec
from braceexpand import braceexpand
from fsspec.implementations.local import LocalFileSystem

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.transport import DEFINITE, Range, StoredFile, asked, read_side_by_side, streamed
from fld_engine.engine.sources.item import Locator, Rejected, SourceChunk, extension, printable, too_large
from fld_engine.schemas.errors import SourceError, TransportError

CHUNK_FILES = 1000
"""Images per chunk, on average: about half a minute of scanning on one core."""
READ_FILES = 32
READ_BYTES = 64 * 2**20
"""Bounds of what is asked for at once: enough to hide the latency of an object store, little enough to hold."""

Files = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Listing:
    """Files under `base` as (relative path, bytes), sorted by path; an empty path where `base` is the only file.

    `versions` say by path which content a file has now, as far as its file system tells that with the listing.
    """

    base: str
    files: Files
    rejected: tuple[Rejected, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    def stamp(self, files: Files) -> str:
        """A short name of the versions of some files; empty where nothing is known of them."""
        known = [(path, self.versions[path]) for path, _ in files if self.versions.get(path)]
        return fingerprint({"versions": known}) if known else ""

    def ending(self, extensions: Collection[str]) -> list[tuple[str, int]]:
        """Files whose names have one of these extensions, in order."""
        return [(path, size) for path, size in self.files if extension(path or self.base) in extensions]


def locate(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path on it. Local names are taken literally, whatever characters they have."""
    if "://" not in url or url.startswith("file://"):
        fs = LocalFileSystem()
        return fs, fs._strip_protocol(url)
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return fs, path


def list_files(url: str, name: str) -> Listing:
    """List a file, a folder with all that is below it, or a pattern with `*`, `?`, `[…]` or `{000..099}`.

    Hidden files and folders are left out, links to folders are not followed. Raises `SourceError` where nothing is
    there or it may not be read, `TransportError` where the store does not answer.
    """
    try:
        fs, path = locate(url)
        info = _info(fs, path, url)
        if info is None:
            return asked(url, lambda: _list_pattern(url))
        if info["type"] != "directory":
            return Listing(fs.unstrip_protocol(path), (("", int(info["size"] or 0)),), versions={"": _version(info)})
        # without it, a local folder that may not be entered would be left out in silence
        strict = {"on_error": "raise"} if isinstance(fs, LocalFileSystem) else {}
        found = asked(url, lambda: fs.find(path, detail=True, **strict))
    except TransportError as error:
        if error.kind == "gone":
            raise SourceError(
                f"source {url} does not exist ({error.__cause__}); give a folder, a tar, a Parquet file or a COCO json"
            ) from error
        if error.kind == "forbidden":
            raise SourceError(
                f"source {url} cannot be read: {error.__cause__}; check the URL and the access rights"
            ) from error
        raise
    except ImportError as error:
        raise SourceError(f"source {url} cannot be read: {error}; install fld-engine[s3] or fld-engine[gcs]") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"source {url} cannot be read: {error}; check the URL and the access rights") from error
    prefix = path.rstrip("/") + "/"
    entries = {full.removeprefix(prefix): entry for full, entry in found.items()}
    return _checked(fs.unstrip_protocol(path).rstrip("/"), entries, name)


def _info(fs: Any, path: str, url: str) -> Any:
    """What is at a path, `None` where nothing is and the URL is a pattern. Raises `TransportError`."""
    try:
        return asked(url, lambda: fs.info(path))
    except TransportError as error:
        if error.kind == "gone" and re.search(r"[*?\[{]", url):
            return None
        raise


def cut(files: Files, size: int = CHUNK_FILES) -> list[Files]:
    """Consecutive runs of about `size` files, at most four times as many.

    A run ends after a path whose checksum is a multiple of `size`. So a file that is added or removed changes the run
    it is in and no other, and an ingest of the grown folder reads that run alone.
    """
    runs: list[Files] = []
    start = 0
    for stop, (path, _) in enumerate(files, start=1):
        if zlib.crc32(path.encode()) % size == 0 or stop - start == 4 * size or stop == len(files):
            runs.append(tuple(files[start:stop]))
            start = stop
    return runs


def read_ranges(
    fs: Any, ranges: Sequence[Range], sizes: Sequence[int], urls: Sequence[str]
) -> Iterator[bytes | TransportError]:
    """Bytes of each range in order, or that it is `gone` or `forbidden`; `sizes` bound how many are held at once.

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
    for _, group in itertools.groupby(locators, key=lambda locator: locator.url.partition("://")[0]):
        same_fs = list(group)
        fs, _ = locate(same_fs[0].url)
        ranges: list[Range] = [
            (locate(at.url)[1], at.offset, at.offset + at.length)
            if at.kind == "tar"
            else (locate(at.url)[1], None, None)
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
    fs, base = locate(chunk.base)
    full = {path: f"{base}/{path}" if path else base for path, _ in chunk.files}
    irregular = {p for p in full if isinstance(fs, LocalFileSystem) and _irregular(full[p])}
    wanted = [(path, size) for path, size in chunk.files if size <= max_bytes and path not in irregular]
    contents = read_ranges(
        fs,
        [(full[path], None, None) for path, _ in wanted],
        [size for _, size in wanted],
        [chunk.url(path) for path, _ in wanted],
    )
    readable, absent = "", None
    for path, size in chunk.files:
        if path in irregular:  # a pipe or a device would be waited for, for ever
            detail = "a pipe, a device, a folder or a link that leads nowhere"
            yield path, Rejected(uri=chunk.uri(path), reason="not_a_file", detail=detail)
        elif size > max_bytes:
            yield path, too_large(chunk.uri(path), size, max_bytes)
        elif isinstance(found := next(contents), TransportError):
            absent = found
            yield path, out_of_reach(chunk.uri(path), found)
        else:
            readable = readable or full[path]
            yield path, found
    if absent is not None and not (readable and _still_there(fs, readable)):
        raise absent


def out_of_reach(uri: str, error: TransportError) -> Rejected:
    """A file that is gone or forbidden; the detail leaves out where on this machine it is."""
    detail = {"gone": "listed, and not there any more", "forbidden": "access to it is refused"}[error.kind]
    return Rejected(uri=uri, reason=error.kind, detail=detail)


def _still_there(fs: Any, path: str) -> bool:
    try:
        asked(path, lambda: fs.cat_file(path, start=0, end=1))
    except TransportError:
        return False
    return True


def _irregular(path: str) -> bool:
    return os.path.lexists(path) and not os.path.isfile(path)


def _list_pattern(url: str) -> Listing:
    base = re.split(r"[*?\[{]", url)[0].rpartition("/")[0] or "."
    fs, root = locate(base)
    prefix = root.rstrip("/") + "/"
    entries: dict[str, Any] = {}
    for one in braceexpand(url):
        path = locate(one)[1]
        found = fs.glob(path, detail=True) if re.search(r"[*?\[]", path) else {path: fs.info(path)}
        entries.update((full.removeprefix(prefix), entry) for full, entry in found.items())
    if not entries:
        raise SourceError(f"source {url} matches no file; list {base} to see what is there")
    files = [(path, int(entry["size"] or 0)) for path, entry in sorted(entries.items())]
    versions = {path: _version(entry) for path, entry in entries.items()}
    return Listing(fs.unstrip_protocol(root).rstrip("/"), files, versions=versions)


def _version(entry: Mapping[str, Any]) -> str:
    """The content that an entry of a listing has now, in its file system's terms; empty where it does not tell.

    An object store's tag of the content, or else the time of the last change.
    """
    told = (entry.get(key) for key in ("ETag", "etag", "mtime", "LastModified", "last_modified", "updated"))
    return str(next((value for value in told if value), ""))


def _checked(base: str, entries: Mapping[str, Any], name: str) -> Listing:
    """Without hidden files; names that are not UTF-8 cannot be stored and are rejected."""
    shown = sorted(p for p in entries if p and not any(part.startswith(".") for part in p.split("/")))
    bad = [p for p in shown if printable(p) != p]
    rejected = tuple(
        Rejected(uri=f"{name}/{p}", reason="bad_name", detail="the file's name is not UTF-8; rename it") for p in bad
    )
    good = [p for p in shown if p not in set(bad)]
    files = tuple((p, int(entries[p]["size"] or 0)) for p in good)
    return Listing(base, files, rejected, {p: _version(entries[p]) for p in good})


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
