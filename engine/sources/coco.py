"""COCO json: an image folder with captions, boxes and masks that people made.

Captions become brief texts, boxes become object regions with their category as phrase, polygons and run-length masks
become masks; all of source `human`, score 1, revision the first twelve hex digits of the json's sha256. Coordinates are
those of the upright image. Boxes and polygons that reach beyond the frame are cut to it. Crowd regions (`iscrowd`) mark
several objects at once: they are rejected, as COCO's own evaluation leaves them out. An annotation that cannot be used
is one rejected row; its image goes on.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.hashing import sha256_hex
from engine.images import ImageLimits, upright_wh
from engine.sources.coco_annotations import Parsed, parse_annotation
from engine.sources.files import Listing, cut, list_files, locate
from engine.sources.folder import read_files
from engine.sources.item import (
    Locator,
    Rejected,
    ScannedItem,
    SourceChunk,
    SourceItem,
    SourceSpec,
    clean_text,
    printable,
    unsafe_name,
)
from schemas.annotations import Annotations, Region, Source, Text
from schemas.errors import SourceError, UnreadableImage

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Index:
    """A COCO json by image: `images` by file name, `annotations` by the image's file name, in file order."""

    revision: str
    images: Mapping[str, Record]
    annotations: Mapping[str, Sequence[Record]]
    categories: Mapping[int, str]
    rejected: Sequence[tuple[str, str, str]]  # place, reason, detail


def chunks(spec: SourceSpec) -> Sequence[SourceChunk]:
    """Runs of about a thousand images, sorted by file name; what the json promises in vain is in the first chunk."""
    index = _read_index(spec.url)
    images_url = spec.images_url or spec.url.rpartition("/")[0] or "."
    listing = list_files(images_url, spec.name)
    sizes = dict(listing.files)
    missing = [name for name in index.images if name not in sizes]
    files = sorted((name, sizes[name]) for name in index.images if name in sizes)
    if not files:
        raise SourceError(
            f"none of the {len(index.images)} images of {spec.url} is in {images_url}"
            f"{_first(missing)}; give the folder that their file_name starts from as images_url"
        )
    found = [*index.rejected, *((f"#{n}", "missing", f"no such file in {images_url}") for n in missing)]
    rejected = tuple(Rejected(uri=f"{spec.name}{place}", reason=why, detail=detail) for place, why, detail in found)
    return [
        SourceChunk(
            spec=spec,
            kind="coco",
            base=listing.base,
            files=tuple(run),
            rejected=rejected if number == 0 else (),
            revision=index.revision,
        )
        for number, run in enumerate(cut(files))
    ]


def read(chunk: SourceChunk, max_bytes: int) -> Iterator[ScannedItem]:
    """Images in order of their file names, each after the rejected rows of its annotations.

    The URI of an image is `name#file_name`: two json files that describe one image are two places of it, so that the
    annotations of both are kept.
    """
    yield from chunk.rejected
    index = _load(chunk.spec.url, chunk.revision)
    source = Source(annotator="human", model="human", revision=index.revision)
    for path, found in read_files(chunk, max_bytes):
        uri = f"{chunk.spec.name}#{path}"
        if isinstance(found, Rejected):
            yield found.model_copy(update={"uri": uri})
            continue
        annotations: list[Parsed] = []
        for problem in _annotate(index, path, found, source, chunk.spec.name):
            if isinstance(problem, Rejected):
                yield problem
            else:
                annotations.append(problem)
        texts = tuple(a for a in annotations if isinstance(a, Text))
        regions = tuple(a for a in annotations if isinstance(a, Region))
        where = Locator(kind="file", url=chunk.url(path), length=len(found))
        item = SourceItem(
            uri=uri, source_label="", annotations=Annotations(texts=texts, regions=regions), read=where
        )
        yield item, found
