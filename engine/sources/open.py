"""Open a source by what it is, and read what was found in it again."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fld_engine.engine.sources import coco, folder, parquet, tars
from fld_engine.engine.sources.files import list_files, read_located
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    MAX_ITEM_BYTES,
    Locator,
    ScannedItem,
    SourceChunk,
    SourceFormat,
    SourceKind,
    SourceSpec,
    extension,
)
from fld_engine.schemas.errors import SourceError

FORMATS: dict[SourceKind, SourceFormat] = {"folder": folder, "tars": tars, "parquet": parquet, "coco": coco}


@dataclass(frozen=True, slots=True)
class Source:
    """A source whose kind is known; `chunks` lists it."""

    spec: SourceSpec
    kind: SourceKind

    def chunks(self) -> Sequence[SourceChunk]:
        """Its parts, in a fixed order, for workers to read. Raises `SourceError` where there is nothing to read."""
        return FORMATS[self.kind].chunks(self.spec)


def open_source(spec: SourceSpec) -> Source:
    """Find out what a source is, from its names alone. Raises `SourceError` where that is not clear."""
    return Source(spec, spec.kind if spec.kind != "auto" else _kind(spec))


def read_chunk(chunk: SourceChunk, max_bytes: int = MAX_ITEM_BYTES) -> Iterator[ScannedItem]:
    """Everything in a chunk, in a fixed order: images with their bytes, and what cannot be used.

    Images of more than `max_bytes` are rejected without being read. Raises `SourceError` where the source changed after
    it was listed, and `OSError` where a connection was lost.
    """
    return FORMATS[chunk.kind].read(chunk, max_bytes)


def read_items(locators: Sequence[Locator]) -> Iterator[bytes]:
    """Bytes of images, in order; quickest when neighbours stand in the order they were scanned in.

    Raises `SourceError` where something is no longer there.
    """
    for in_parquet, group in itertools.groupby(locators, key=lambda at: at.kind == "parquet"):
        neighbours = list(group)
        yield from parquet.read_cells(neighbours) if in_parquet else read_located(neighbours)


def read_bytes(locator: Locator) -> bytes:
    """Bytes of one image. Raises `SourceError` where it is no longer there."""
    return next(read_items([locator]))


def _kind(spec: SourceSpec) -> SourceKind:
    if extension(spec.url) == "json":
        return "coco"
    listing = list_files(spec.url, spec.name)
    found: Counter[SourceKind] = Counter()
    for path, _ in listing.files:
        kind = _kind_of_file(path or listing.base)
        if kind is not None:
            found[kind] += 1
    if len(found) == 1:
        return next(iter(found))
    if found:
        what = ", ".join(f"{number} for {kind!r}" for kind, number in sorted(found.items()))
        raise SourceError(
            f"source {spec.url} holds files of several kinds ({what}); give each kind as a source of its own, with "
            "kind set to one of them, or a narrower URL"
        )
    raise SourceError(
        f"source {spec.url} holds no image, tar or Parquet file among its {len(listing.files)} files; expected names "
        f"that end in .tar, .parquet, or {', '.join('.' + e for e in sorted(IMAGE_EXTENSIONS))}"
    )


def _kind_of_file(path: str) -> SourceKind | None:
    suffix = extension(path)
    if suffix in IMAGE_EXTENSIONS:
        return "folder"
    kinds: dict[str, SourceKind] = {"tar": "tars", "parquet": "parquet"}
    return kinds.get(suffix)
