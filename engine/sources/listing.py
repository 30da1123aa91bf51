"""Files of any fsspec file system, listed in a fixed order and cut into chunks."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from braceexpand import braceexpand
from fsspec.implementations.local import LocalFileSystem

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.secrets import referring, refers, resolved
from fld_engine.engine.data.source_account import Counting, Example, Reasons
from fld_engine.engine.data.transport import DEFINITE, asked
from fld_engine.engine.sources.archives import Chain, below, chain_of
from fld_engine.engine.sources.files import irregular, locate, version_of
from fld_engine.engine.sources.item import Rejected, SourceChunk, SourceSpec, extension
from fld_engine.engine.sources.texts import printable
from fld_engine.schemas.errors import SourceError, TransportError

CHUNK_FILES = 1000
"""Images per chunk, on average: about half a minute of scanning on one core."""

Files = Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Listing:
    """Files under `base` as (relative path, bytes), sorted by path; an empty path where `base` is the only file.

    `set_aside` maps the path of what is there and not listed to the reason: `hidden`, `link_outside`, `link_to_folder`.
    `versions` say by path which content a file has now, as far as its file system tells that with the listing.
    """

    base: str
    files: Files
    rejected: tuple[Rejected, ...] = ()
    set_aside: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def stamp(self, files: Files) -> str:
        """A short name of the versions of some files; empty where nothing is known of them."""
        known = [(path, self.versions[path]) for path, _ in files if self.versions.get(path)]
        return fingerprint({"versions": known}) if known else ""

    def ending(self, extensions: Collection[str]) -> list[tuple[str, int]]:
        """Files whose names have one of these extensions, in order."""
        return [(path, size) for path, size in self.files if extension(self.name(path)) in extensions]

    def name(self, path: str) -> str:
        """The name of a listed file, also of the only one, which has no path."""
        chain = chain_of(self.base)
        return path or (chain.inner if chain else self.base)

    def url(self, path: str) -> str:
        """The address of a listed file."""
        return below(self.base, path)

    def passed_over(self, name: str, used: Collection[str], reason: str = "unknown_extension") -> Reasons:
        """What is set aside, and, for a `reason`, files that are not among the `used` ones; `name` is the source's."""
        others = {path: reason for path, _ in self.files if path not in used}
        counting = Counting()
        for path, why in sorted({**self.set_aside, **others}.items()):
            counting.add("images", "passed_over", why, 1, Example(uri=printable(f"{name}/{path}")))
        return counting.account().images.passed_over

    def chunk_a_file(
        self,
        spec: SourceSpec,
        kind: str,
        files: Sequence[tuple[str, int]],
        beside: Mapping[str, Files] = MappingProxyType({}),
    ) -> list[SourceChunk]:
        """A chunk for each of these files, after those `beside` it; whatever else is listed is passed over."""
        parts = [(*beside.get(path, ()), (path, size)) for path, size in files]
        passed_over = self.passed_over(spec.name, {path for part in parts for path, _ in part})
        return [
            SourceChunk(
                spec=spec, kind=kind, base=self.base, files=part, stamp=self.stamp(part), passed_over=passed_over
            )
            for part in parts
        ]

    def outside(self) -> str:
        """Half a sentence where links lead out of the folder, for errors that say that nothing was found."""
        links = [path for path, reason in self.set_aside.items() if reason == "link_outside"]
        if not links:
            return ""
        return (
            f"; {len(links)} links lead out of it, {links[0]!r} for one: give the folder that they lead to, or set "
            "allow_outside: true"
        )


def list_files(url: str, name: str, *, allow_outside: bool = False) -> Listing:
    """List a file, a folder with all that is below it, or a pattern with `*`, `?`, `[…]` or `{000..099}`.

    Hidden files and folders are set aside, and so are links to folders, and links to files that lead out of the folder,
    unless `allow_outside`. Raises `SourceError` where nothing is there or it may not be read, `TransportError` where
    the store does not answer.
    """
    with _telling(url):
        fs, path = locate(url)
        if chain := chain_of(url):
            return _list_zip(fs, chain, name)
        info = _info(fs, path, url)
        if info is None:
            return asked(url, lambda: _list_pattern(url, allow_outside))
        base = referring(fs.unstrip_protocol(path), url)
        if info["type"] != "directory":
            return Listing(base, (("", int(info["size"] or 0)),), versions={"": version_of(info)})
        # without it, a local folder that may not be entered would be left out in silence
        strict = {"on_error": "raise"} if isinstance(fs, LocalFileSystem) else {}
        found = asked(url, lambda: fs.find(path, detail=True, **strict))
    prefix = path.rstrip("/") + "/"
    links = _links_aside(path, found, prefix, allow_outside)
    entries = {full.removeprefix(prefix): entry for full, entry in found.items()}
    return _checked(base.rstrip("/"), entries, name, links)


def check_there(url: str) -> None:
    """Raises what `list_files` does where nothing is at a URL or it may not be read; a pattern is taken as it is."""
    with _telling(url):
        fs, path = locate(url)
        _info(fs, path, url)


@contextmanager
def _telling(url: str) -> Iterator[None]:
    """What goes wrong at a source, as an error that says what to do."""
    try:
        yield
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
    except (OSError, ValueError) as error:
        raise SourceError(f"source {url} cannot be read: {error}; check the URL and the access rights") from error


def _info(fs: Any, path: str, url: str) -> Any:
    """What is at a path, `None` where nothing is and the URL is a pattern. Raises `TransportError`."""
    try:
        return asked(url, lambda: fs.info(path))
    except TransportError as error:
        if error.kind == "gone" and re.search(r"[*?\[{]", url):
            return None
        raise


def size_of(url: str) -> int | None:
    """Bytes of a file, 0 where they may not be asked for, `None` where no file is there. Raises `TransportError`."""
    fs, path = locate(url)
    try:
        info = asked(url, lambda: fs.info(path))
    except TransportError as error:
        if error.kind in DEFINITE:
            return None if error.kind == "gone" else 0
        raise
    if info["type"] == "directory" or (isinstance(fs, LocalFileSystem) and irregular(path)):
        return None
    return int(info["size"] or 0)


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


def _list_pattern(url: str, allow_outside: bool) -> Listing:
    pattern = resolved(url)
    base = re.split(r"[*?\[{]", pattern)[0].rpartition("/")[0] or "."
    fs, root = locate(base)
    prefix = root.rstrip("/") + "/"
    entries: dict[str, Any] = {}
    aside: dict[str, str] = {}
    for one in braceexpand(pattern):
        path = locate(one)[1]
        found = fs.glob(path, detail=True) if re.search(r"[*?\[]", path) else {path: fs.info(path)}
        aside |= _links_aside(root, found, prefix, allow_outside)
        entries.update((full.removeprefix(prefix), entry) for full, entry in found.items())
    listed = {path: entry for path, entry in sorted(entries.items()) if path not in aside}
    files = [(path, int(entry["size"] or 0)) for path, entry in listed.items()]
    versions = {path: version_of(entry) for path, entry in listed.items()}
    where = referring(fs.unstrip_protocol(root), url).rstrip("/")
    listing = Listing(where, files, set_aside=aside, versions=versions)
    if not files:
        raise SourceError(f"source {url} matches no file; list {base} to see what is there{listing.outside()}")
    return listing


def _list_zip(fs: Any, chain: Chain, name: str) -> Listing:
    """Files of a zip: one of its files, a folder of it, or those that a pattern matches."""
    outer, path = locate(chain.outer)
    address = referring(outer.unstrip_protocol(path), chain.outer)
    if chain.inner and fs.isfile(chain.inner):
        info = fs.info(chain.inner)
        base = chain._replace(outer=address).at(chain.inner)
        return Listing(base, (("", int(info["size"])),), versions={"": version_of(info)})
    root = chain.inner
    if re.search(r"[*?\[]", root):
        root = re.split(r"[*?\[]", root)[0].rpartition("/")[0]
        found = {one: entry for one, entry in fs.glob(chain.inner, detail=True).items() if entry["type"] == "file"}
    else:
        found = fs.find(root, detail=True)
    if not found:
        raise SourceError(f"{chain.at(chain.inner)} holds no file; list the zip to see what is in it")
    prefix = f"{root}/" if root else ""
    entries = {full.removeprefix(prefix): entry for full, entry in found.items()}
    return _checked(chain._replace(outer=address).at(root), entries, name, {})


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


def _checked(base: str, entries: Mapping[str, Any], name: str, links: Mapping[str, str]) -> Listing:
    """Without hidden files and links; names that are not UTF-8 cannot be stored and are rejected."""
    hidden = {p: "hidden" for p in entries if any(part.startswith(".") for part in p.split("/"))}
    aside = {**links, **hidden}
    shown = sorted(p for p in entries if p and p not in aside)
    bad = {p: "the file's name is not UTF-8" for p in shown if printable(p) != p}
    if not base.startswith("file://"):  # elsewhere they would be looked up
        bad |= {p: "the file's name refers to a variable" for p in shown if refers(p)}
    rejected = tuple(
        Rejected(uri=f"{name}/{p}", reason="bad_name", detail=f"{why}; rename it") for p, why in sorted(bad.items())
    )
    good = [p for p in shown if p not in bad]
    files = tuple((p, int(entries[p]["size"] or 0)) for p in good)
    versions = {p: version_of(entries[p]) for p in good}
    return Listing(base, files, rejected, set_aside=aside, versions=versions)
