"""Many small label files of a source: which of its images each one is about, and all of them read at once."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.files import read_files
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, Rejected, SourceChunk, SourceSpec
from fld_engine.engine.sources.listing import Files, Listing

MAX_LABEL_BYTES = 50_000_000
"""A label file of one image that is larger is not read."""


def read_label_files(spec: SourceSpec, listing: Listing, files: Files) -> Iterator[tuple[str, bytes | Rejected]]:
    """(path, content) of label files, or why one is not read. Raises `TransportError` where none can be had."""
    chunk = SourceChunk(spec=spec, kind=spec.kind, base=listing.base, files=tuple(files))
    return read_files(chunk, MAX_LABEL_BYTES)


def digests_of(contents: Mapping[str, bytes]) -> list[str]:
    """A digest of each label file, which is another one where the file has another name."""
    return [sha256_hex(path.encode() + b"\0" + data) for path, data in sorted(contents.items())] or [sha256_hex(b"")]


def stems_of(images: Listing) -> dict[str, str]:
    """Path without extension → path, of files that may be images; the first where two differ in nothing else."""
    found: dict[str, str] = {}
    for path, _ in images.ending(IMAGE_EXTENSIONS):
        found.setdefault(posixpath.splitext(path)[0], path)
    return found


def image_of(stems: Mapping[str, str], places: Iterable[str], otherwise: str) -> str:
    """The first of the places, which are paths without extension, at which an image lies; else another name."""
    return next((stems[place] for place in places if place in stems), otherwise)


def after(path: str, folder: str) -> tuple[str, str] | None:
    """(what is before a folder, what is below its last mention) of a path that has it; both without the folder.

    Tools write `Annotations` and `annotations`.
    """
    parts = path.split("/")
    folders = [part.casefold() for part in parts[:-1]]
    if folder.casefold() not in folders:
        return None
    at = len(folders) - 1 - folders[::-1].index(folder.casefold())
    return "".join(f"{part}/" for part in parts[:at]), "/".join(parts[at + 1 :])
