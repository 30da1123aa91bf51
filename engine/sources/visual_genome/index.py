"""Visual Genome's files by image.

A file is an array with an element an image, of up to 700 MB. What is held of it is where each element stands; one is
read when its image is.
"""

from __future__ import annotations

import io
import json
import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

from fld_engine.engine.sources.archives import below
from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.files import open_random
from fld_engine.engine.sources.hashed import Hashed
from fld_engine.engine.sources.item import PassedOver
from fld_engine.engine.sources.json_arrays import elements
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing
from fld_engine.engine.sources.regions.frames import Exif, Frame, framed
from fld_engine.engine.sources.values import wh_of
from fld_engine.engine.sources.visual_genome.parsing import (
    Record,
    id_of,
    parse_description,
    parse_object,
    parse_relationship,
    xywh_of,
)
from fld_engine.schemas.annotations import Region, Text
from fld_engine.schemas.errors import SourceError

IMAGES = "image_data.json"
LISTS = {
    "region_descriptions.json": "regions",
    "objects.json": "objects",
    "relationships.json": "relationships",
    "attributes.json": "attributes",
}
"""Files that are read, and the key of an element that holds its records."""
_KEPT = {
    "regions": {"region_id", "id", "image_id", "image", "phrase", "x", "y", "width", "height"},
    "objects": {"object_id", "id", "image_id", "names", "name", "x", "y", "w", "h", "width", "height"},
    "relationships": {"relationship_id", "id", "predicate", "subject", "object", "subject_id", "object_id"},
}
"""Keys of records that say something here; others are counted."""


class Span(NamedTuple):
    """Where the element of an image is in a file, and how many records it has."""

    offset: int
    length: int
    number: int


@dataclass(frozen=True, slots=True)
class Files:
    """`images` are records of `image_data.json` by the name of their file, `spans` elements by file and image id."""

    base: str
    revision: str
    images: Mapping[str, Record]
    spans: Mapping[str, Mapping[Any, Span]]
    paths: Mapping[str, str]
    problems: Sequence[Problem]


def read_files(listing: Listing) -> Files:
    """The files of a listing. Raises `SourceError` where `image_data.json` is not among them, or one is no array."""
    paths = {
        posixpath.basename(path): path for path, _ in listing.files if posixpath.basename(path) in (IMAGES, *LISTS)
    }
    if IMAGES not in paths or len(paths) == 1:
        raise SourceError(
            f"source {listing.base} has no {IMAGES} with one of {', '.join(LISTS)} beside it; give the folder that "
            "the files of Visual Genome were unpacked to"
        )
    sizes, digests, problems = dict(listing.files), [], list[Problem]()
    images: dict[str, Record] = {}
    spans: dict[str, dict[Any, Span]] = {}
    for file, path in sorted(paths.items()):
        with Hashed(listing.url(path), sizes[path]) as stream:
            try:
                found = spans.setdefault(file, {}) if file in LISTS else None
                problems += _elements(io.BufferedReader(stream, 2**22), file, images, found)
            except ValueError as error:
                raise SourceError(f"{listing.base}/{path} cannot be read: {error}; unpack it once more") from error
            digests.append(stream.finish())
    known = {id_of(record, "image_id") for record in images.values()}
    problems += [
        (f"#annotations of {image} in {file}", "dangling_id", f"image {image!r} is not in {IMAGES}")
        for file, found in spans.items()
        for image in found
        if image not in known
    ]
    return Files(listing.base, joint_revision(digests), images, spans, paths, problems)


def _elements(
    stream: BinaryIO, file: str, images: dict[str, Record], spans: dict[Any, Span] | None
) -> Iterator[Problem]:
    """Enter the elements of a file, by image; `spans` is `None` for the list of images."""
    for number, (offset, length, record) in enumerate(elements(stream)):
        image = id_of(record, "image_id") if isinstance(record, dict) else None
        listed = record.get(LISTS[file]) if spans is not None and image is not None else []
        if not isinstance(image, int | str) or not isinstance(listed, list):
            detail = f"expected an object with an image_id{f' and a list {LISTS[file]}' if spans is not None else ''}"
            yield f"#{file}[{number}]", "bad_record", detail
        elif (_name(record, image) in images) if spans is None else (image in spans):
            yield f"#{file}[{number}]", "duplicate_key", f"image {image!r} came before"
        elif spans is None:
            images[_name(record, image)] = record
        else:
            spans[image] = Span(offset, length, len(listed))


def _name(record: Record, image: Any) -> str:
    """`VG_100K_2/1.jpg` of the image's URL; its id where it has none."""
    parts = [part for part in str(record.get("url") or "").split("/") if part]
    return "/".join(parts[-2:]) if len(parts) > 1 else f"{image}.jpg"


@dataclass(frozen=True, slots=True)
class VisualGenome:
    """Files by image, and how they are read."""

    files: Files
    exif: Exif
    relations_as_texts: bool

    @property
    def revision(self) -> str:
        return self.files.revision

    @property
    def names(self) -> Collection[str]:
        return self.files.images.keys()

    @property
    def problems(self) -> Sequence[Problem]:
        return self.files.problems

    def count(self, name: str) -> int:
        image = id_of(self.files.images[name], "image_id")
        return sum(spans[image].number for spans in self.files.spans.values() if image in spans)

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Objects, descriptions of regions, relationships; in the order of the files."""
        record = self.files.images[name]
        image = id_of(record, "image_id")
        lists = {key: self._records(file, image) for file, key in LISTS.items()}
        boxes = [
            (f"#annotation/{key}/{id_of(one, f'{key[:-1]}_id')}", {"bbox": xywh_of(one)})
            for key in ("objects", "regions")
            for one in lists[key]
        ]
        wh = wh_of(record.get("width"), record.get("height"))
        frame = yield from framed(boxes, wh, upright_wh, orientation, self.exif)
        if frame is not None:
            yield from self._in_frame(lists, frame)
        yield from self._counted(lists, f"#annotations of {image}", counts_relations=frame is None)

    def _in_frame(self, lists: Mapping[str, Sequence[Record]], frame: Frame) -> Iterator[Said]:
        source = source_of(self.revision)
        for key, parse in (("objects", parse_object), ("regions", parse_description)):
            for one in lists[key]:
                for found in parse(one, f"#annotation/{key}/{id_of(one, f'{key[:-1]}_id')}", frame.wh, source):
                    yield frame.region(found) if isinstance(found, Region) else found
        if self.relations_as_texts:
            objects = {id_of(one, "object_id"): one for one in lists["objects"]}
            for one in lists["relationships"]:
                uri = f"#annotation/relationships/{id_of(one, 'relationship_id')}"
                for told in parse_relationship(one, uri, frame.wh, objects, source):
                    yield frame.text(told) if isinstance(told, Text) else told

    def _counted(
        self, lists: Mapping[str, Sequence[Record]], uri: str, *, counts_relations: bool
    ) -> Iterator[PassedOver]:
        """What nothing is made of: attributes, relationships unless they are texts, keys without a place in a table."""
        numbers: Counter[tuple[str, str]] = Counter()
        for one in lists["attributes"]:
            stated = one.get("attributes", one.get("attribute"))
            numbers["attribute", "attributes.json"] += len(stated) if isinstance(stated, list) else stated is not None
        if counts_relations or not self.relations_as_texts:
            numbers["relationship", "relationships.json"] += len(lists["relationships"])
        for key, kept in _KEPT.items():
            for one in lists[key]:
                numbers.update(("not_kept", f"{key}: {name}") for name in one.keys() - kept if one[name])
        for (reason, detail), number in sorted(numbers.items()):
            if number:
                yield PassedOver(uri=uri, reason=reason, detail=detail, what="annotation", number=number)

    def _records(self, file: str, image: Any) -> list[Record]:
        """Records of one image in a file, read from where they stand."""
        span = self.files.spans.get(file, {}).get(image)
        if span is None:
            return []
        with open_random(below(self.files.base, self.files.paths[file])) as stream:
            stream.seek(span.offset)
            element = json.loads(stream.read(span.length))
        return [one for one in element.get(LISTS[file]) or () if isinstance(one, dict)]
