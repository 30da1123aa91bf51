"""A folder of images: every file with an image's extension is a candidate, everything else in it is ignored."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence

from fsspec.implementations.local import LocalFileSystem

from fld_engine.engine.sources.files import Listing, cut, list_files, locate, read_ranges, unreadable
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    Rejected,
    ScannedItem,
    SourceChunk,
    SourceItem,
    SourceSpec,
    extension,
    too_large,
)
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import SourceError


def chunks(spec: SourceSpec) -> Sequence[SourceChunk]:
    """Runs of about a thousand files, sorted by path."""
    listing = list_files(spec.url, spec.name)
    rejected = tuple(r for r in listing.rejected if extension(r.uri) in IMAGE_EXTENSIONS)
    runs = cut(image_files(listing))
    if not runs and not rejected:
        raise SourceError(
            f"source {spec.url} holds no image: of its {len(listing.files)} files none ends in one of "
            f"{', '.join(sorted(IMAGE_EXTENSIONS))}; give the folder that the images are in"
        )
    return [
        SourceChunk(
            spec=spec, kind="folder", base=listing.base, files=tuple(run), rejected=rejected if index == 0 else ()
        )
        for index, run in enumerate(runs or [()])
    ]


def read(chunk: SourceChunk, max_bytes: int) -> Iterator[ScannedItem]:
    """Images in order of their paths; the folder an image lies in is its label."""
    yield from chunk.rejected
    for path, found in read_files(chunk, max_bytes):
        if isinstance(found, Rejected):
            yield found
            continue
        label = posixpath.basename(posixpath.dirname(path)) if chunk.spec.class_folders else ""
        where = Locator(kind="file", url=chunk.url(path), length=len(found))
        yield SourceItem(uri=chunk.uri(path), source_label=label, annotations=Annotations(), read=where), found


def image_files(listing: Listing) -> list[tuple[str, int]]:
    """Candidates of a listing, (path, bytes) in order."""
    return [(path, size) for path, size in listing.files if extension(path or listing.base) in IMAGE_EXTENSIONS]


def read_files(chunk: SourceChunk, max_bytes: int) -> Iterator[tuple[str, bytes | Rejected]]:
    """(path, bytes) of every file of a chunk, or why it was not read."""
    fs, base = locate(chunk.base)
    full = {path: f"{base}/{path}" if path else base for path, _ in chunk.files}
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
