"""Files of any fsspec file system: listed in a fixed order, cut into chunks, read in bounded batches."""

from __future__ import annotations

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

from fld_engine.engine.data.source_account import Counting, Example, Reasons
from fld_engine.engine.sources.item import Locator, Rejected, SourceChunk, extension, printable, too_large
from fld_engine.schemas.errors import SourceError

CHUNK_FILES = 1000
"""Images per chunk, on average: about half a minute of scanning on one core."""
READ_FILES = 32
READ_BYTES = 64 * 2**20
"""Bounds of what is asked for at once: enough to hide the latency of an object store, little enough to hold."""

Files = Sequence[tuple[str, int]]
Range = tuple[str, int | None, int | None]  # path, first byte, end; None: from the beginning, to the end


@dataclass(frozen=True, slots=True)
class Listing:
    """Files under `base` as (relative path, bytes), sorted by path; an empty path where `base` is the only file.

    `set_aside` maps the path of what is there and not listed to the reason: `hidden`, `link_outside`, `link_to_folder`.
    """

    base: str
    files: Files
    rejected: tuple[Rejected, ...] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)

    def ending(self, extensions: Collection[str]) -> list[tuple[str, int]]:
        """Files whose names have one of these extensions, in order."""
        return [(path, size) for path, size in self.files if extension(path or self.base) in extensions]

    def passed_over(self, name: str, used: Collection[str], reason: str = "unknown_extension") -> Reasons:
        """What is set aside, and, for a `reason`, files that are not among the `used` ones; `name` is the source's."""
        others = {path: reason for path, _ in self.files if path not in used}
        counting = Counting()
        for path, why in sorted({**self.set_aside, **others}.items()):
            counting.add("images", "passed_over", why, 1, Example(uri=printable(f"{name}/{path}")))
        return counting.account().images.passed_over

    def outside(self) -> str:
        """Half a sentence where links lead out of the folder, for errors that say that nothing was found."""
        links = [path for path, reason in self.set_aside.items() if reason == "link_outside"]
        if not links:
            return ""
        return (
            f"; {len(links)} links lead out of it, {links[0]!r} for one: give the folder that they lead to, or set "
            "allow_outside: true"
        )


def locate(url: str) -> tuple[Any, str]:
    """The file system of a URL and the path on it. Local names are taken literally, whatever characters they have."""
    if "://" not in url or url.startswith("file://"):
        fs = LocalFileSystem()
        return fs, fs._strip_protocol(url)
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return fs, path


def list_files(url: str, name: str, *, allow_outside: bool = False) -> Listing:
    """List a file, a folder with all that is below it, or a pattern with `*`, `?`, `[…]` or `{000..099}`.

    Hidden files and folders are set aside, and so are links to folders, and links to files that lead out of the folder,
    unless `allow_outside`. Raises `SourceError` where nothing is there or it cannot be read.
    """
    try:
        fs, path = locate(url)
        if not fs.exists(path) and re.search(r"[*?\[{]", url):
            return _list_pattern(url, allow_outside)
        info = fs.info(path)
        if info["type"] != "directory":
            return Listing(fs.unstrip_protocol(path), (("", int(info["size"] or 0)),))
        # without it, a local folder that may not be entered would be left out in silence
        strict = {"on_error": "raise"} if isinstance(fs, LocalFileSystem) else {}
        found = fs.find(path, detail=True, **strict)
    except FileNotFoundError as error:
        raise SourceError(
            f"source {url} does not exist ({error}); give a folder, a tar, a Parquet file or a COCO json"
        ) from error
    except ImportError as error:
        raise SourceError(f"source {url} cannot be read: {error}; install fld-engine[s3] or fld-engine[gcs]") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"source {url} cannot be read: {error}; check the URL and the access rights") from error
    prefix = path.rstrip("/") + "/"
    links = _links_aside(path, found, prefix, allow_outside)
    sizes = {full.removeprefix(prefix): int(entry["size"] or 0) for full, entry in found.items()}
    return _checked(fs.unstrip_protocol(path).rstrip("/"), sizes, name, links)


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


def read_ranges(fs: Any, ranges: Sequence[Range], sizes: Sequence[int]) -> Iterator[bytes | OSError]:
    """Bytes of each range in order, or why it could not be read; `sizes` bound how many are held at once.

    Lost connections and time-outs are raised: they say nothing about the file, and a task is tried again.
    """
    for start, stop in _batches(sizes):
        paths, firsts, ends = zip(*ranges[start:stop], strict=True)
        for found in fs.cat_ranges(list(paths), list(firsts), list(ends), on_error="return"):
            if isinstance(found, OSError) and not isinstance(found, (ConnectionError, TimeoutError)):
                yield found
            elif isinstance(found, BaseException):
                raise found
            else:
                yield bytes(found)


def read_located(locators: Sequence[Locator]) -> Iterator[bytes]:
    """Bytes of `file` and `tar` locators, in order. Raises `SourceError` where something is no longer there."""
    for _, group in itertools.groupby(locators, key=lambda locator: locator.url.partition("://")[0]):
        same_fs = list(group)
        fs, _ = locate(same_fs[0].url)
        ranges: list[Range] = [
            (locate(at.url)[1], at.offset, at.offset + at.length)
            if at.kind == "tar"
            else (locate(at.url)[1], None, None)
            for at in same_fs
        ]
        read = read_ranges(fs, ranges, [at.length for at in same_fs])
        for at, found in zip(same_fs, read, strict=True):
            if isinstance(found, OSError):
                raise SourceError(f"{at.url} could be read when it was scanned, and now not: {found}") from found
            yield found


def read_files(chunk: SourceChunk, max_bytes: int) -> Iterator[tuple[str, bytes | Rejected]]:
    """(path, bytes) of every file of a chunk, or why it was not read."""
    fs, _ = locate(chunk.base)
    full = {path: locate(chunk.url(path))[1] for path, _ in chunk.files}
    irregular = {p for p in full if isinstance(fs, LocalFileSystem) and fs.exists(full[p]) and not fs.isfile(full[p])}
    wanted = [(path, size) for path, size in chunk.files if size <= max_bytes and path not in irregular]
    contents = read_ranges(fs, [(full[path], None, None) for path, _ in wanted], [size for _, size in wanted])
    for path, size in chunk.files:
        if path in irregular:  # a pipe or a device would be waited for, for ever
            yield path, Rejected(uri=chunk.uri(path), reason="not_a_file", detail="a pipe, a device or a folder")
        elif size > max_bytes:
            yield path, too_large(chunk.uri(path), size, max_bytes)
        else:
            found = next(contents)
            yield path, unreadable(chunk.uri(path), found) if isinstance(found, OSError) else found


def unreadable(uri: str, error: OSError) -> Rejected:
    """A file that is listed and cannot be read; the detail leaves out where on this machine it is."""
    return Rejected(uri=uri, reason="unreadable", detail=f"{type(error).__name__}: {error.strerror or error.errno}")


def _list_pattern(url: str, allow_outside: bool) -> Listing:
    base = re.split(r"[*?\[{]", url)[0].rpartition("/")[0] or "."
    fs, root = locate(base)
    prefix = root.rstrip("/") + "/"
    sizes: dict[str, int] = {}
    aside: dict[str, str] = {}
    for one in braceexpand(url):
        path = locate(one)[1]
        found = fs.glob(path, detail=True) if re.search(r"[*?\[]", path) else {path: fs.info(path)}
        aside |= _links_aside(root, found, prefix, allow_outside)
        sizes.update((full.removeprefix(prefix), int(entry["size"] or 0)) for full, entry in found.items())
    listed = tuple(sorted((path, size) for path, size in sizes.items() if path not in aside))
    listing = Listing(fs.unstrip_protocol(root).rstrip("/"), listed, set_aside=aside)
    if not listed:
        raise SourceError(f"source {url} matches no file; list {base} to see what is there{listing.outside()}")
    return listing


def _links_aside(root: str, found: Mapping[str, Any], prefix: str, allow_outside: bool) -> dict[str, str]:
    """Links among the entries of a listing that are not followed: relative path → reason. Only local files have any."""
    aside = {}
    inside = os.path.join(os.path.realpath(root), "")
    for full, entry in found.items():
        if not entry.get("islink"):
            continue
        if os.path.isdir(full):
            aside[full.removeprefix(prefix)] = "link_to_folder"
        elif not allow_outside and not os.path.realpath(full).startswith(inside):
            aside[full.removeprefix(prefix)] = "link_outside"
    return aside


def _checked(base: str, sizes: Mapping[str, int], name: str, links: Mapping[str, str]) -> Listing:
    """Without hidden files and links; names that are not UTF-8 cannot be stored and are rejected."""
    hidden = {p: "hidden" for p in sizes if any(part.startswith(".") for part in p.split("/"))}
    aside = {**links, **hidden}
    shown = sorted(p for p in sizes if p and p not in aside)
    bad = [p for p in shown if printable(p) != p]
    rejected = tuple(
        Rejected(uri=f"{name}/{p}", reason="bad_name", detail="the file's name is not UTF-8; rename it") for p in bad
    )
    return Listing(base, tuple((p, sizes[p]) for p in shown if p not in set(bad)), rejected, aside)


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
