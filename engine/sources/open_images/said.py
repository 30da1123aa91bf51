"""What Open Images says of one image."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from fld_engine.engine.data.images import Format, ImageLimits, decode
from fld_engine.engine.sources.archives import below
from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.files import read_whole
from fld_engine.engine.sources.item import PassedOver, Rejected, too_long
from fld_engine.engine.sources.labelled import Problem, Said
from fld_engine.engine.sources.open_images.index import UNREAD, Labels
from fld_engine.engine.sources.open_images.rows import (
    Row,
    box_of_mask,
    is_mask_of,
    not_kept,
    parse_box,
    parse_label,
    parse_mask,
    parse_relation,
)
from fld_engine.engine.sources.regions.frames import Exif, Frame
from fld_engine.engine.sources.regions.place import hole_filled
from fld_engine.engine.sources.regions.rle import mask_polygons, num_filled
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, clean_text
from fld_engine.schemas.annotations import Mask, Polygon, Region, Source, Text
from fld_engine.schemas.errors import TransportError, UnreadableImage

_MASKS = ImageLimits(max_pixels=2**28, max_bytes=2**28, formats=get_args(Format))
SAID = ("boxes", "masks", "labels", "relations", "narratives")
"""Tables whose rows are annotations."""


@dataclass(frozen=True, slots=True)
class OpenImages:
    """Labels by image, and how they are read. `names` are paths of images in the folder, or `ID.jpg`."""

    labels: Labels
    names: Collection[str]
    exif: Exif
    keep_crowds: bool
    relations_as_texts: bool

    @property
    def revision(self) -> str:
        return self.labels.revision

    @property
    def problems(self) -> Sequence[Problem]:
        return self.labels.problems

    @property
    def source(self) -> Source:
        return source_of(self.revision)

    def count(self, name: str) -> int:
        image = id_of(name)
        return sum(self.labels.tables[what].count(image) for what in SAID if what in self.labels.tables)

    def licence(self, name: str) -> str:
        return next((str(row["License"]) for row in self._rows("images", id_of(name)) if row["License"]), "")

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Narratives, image labels, boxes with their masks, masks without a box, relationships; each as filed."""
        image = id_of(name)
        raw = self.exif == "raw"
        frame = Frame(upright_wh[::-1] if orientation >= 5 else upright_wh, orientation) if raw else Frame(upright_wh)
        yield from self._narratives(image)
        for number, row in enumerate(self._rows("labels", image)):
            yield parse_label(row, f"#annotation/{image}/label/{number}", self.labels.names, self.revision)
        for found in self._boxes(image, frame.wh):
            yield frame.region(found) if isinstance(found, Region) else found
        for found in self._relations(image, frame.wh):
            yield frame.text(found) if isinstance(found, Text) else found
        yield from not_kept(self._rows("boxes", image), self._rows("images", image), f"#annotations of {image}")
        yield from self._unread(image)

    def _rows(self, what: str, image: str) -> list[Row]:
        table = self.labels.tables.get(what)
        return list(table.of(image)) if table else []

    def _narratives(self, image: str) -> Iterator[Said]:
        """Captions that people spoke, each once: they stand in the files with traces and in those without."""
        texts: dict[str, None] = {}
        for number, row in enumerate(self._rows("narratives", image)):
            uri, text = f"#annotation/{image}/narrative/{number}", clean_text(row["caption"])
            if not text or text in texts:
                yield PassedOver(uri=uri, reason="repeated" if text else "empty", what="annotation")
            elif len(text) > MAX_TEXT_CHARS:
                yield too_long(uri, text)
            else:
                texts[text] = None
                yield Text(granularity="detailed", text=text, score=1.0, source=self.source)

    def _boxes(self, image: str, image_wh: tuple[int, int]) -> Iterator[Said]:
        boxes = self._rows("boxes", image)
        masks: dict[int, list[Mask]] = {}
        alone: list[tuple[Row, Mask]] = []
        for number, row in enumerate(self._rows("masks", image)):
            uri = f"#annotation/{image}/mask/{number}"
            outlines = self._outlines(row, image_wh)
            if isinstance(outlines, str):
                yield Rejected(uri=uri, reason="bad_mask", detail=outlines, what="annotation")
                continue
            polygons, filled = outlines
            if filled:
                yield hole_filled(uri, filled)
            mask = parse_mask(row, polygons, self.source)
            at = next((at for at, box in enumerate(boxes) if at not in masks and is_mask_of(row, box)), None)
            if at is None:
                alone.append((box_of_mask(row, mask, image_wh), mask))
            else:
                masks[at] = [mask]
        for number, row in enumerate(boxes):
            uri = f"#annotation/{image}/box/{number}"
            if row["IsGroupOf"] == 1 and not self.keep_crowds:
                detail = "IsGroupOf: more than five things in one box; set crowd: keep on the source to have it"
                yield Rejected(uri=uri, reason="crowd", detail=detail, what="annotation")
            else:
                yield from parse_box(row, uri, image_wh, self.labels.names, masks.get(number, ()), self.source)
        for number, (row, mask) in enumerate(alone):
            uri = f"#annotation/{image}/box of mask/{number}"
            yield from parse_box(row, uri, image_wh, self.labels.names, [mask], self.source)

    def _outlines(self, row: Row, image_wh: tuple[int, int]) -> tuple[list[Polygon], int] | str:
        """Polygons of a mask file, which may have another size than its image, and pixels of holes; or why not."""
        name = posixpath.basename(row["MaskPath"] or "")
        path = self.labels.masks.get(name)
        if path is None:
            return f"the mask file {name!r} is not beside the label files; unpack the archives of masks there"
        try:
            pixels = decode(read_whole(below(self.labels.base, path)), _MASKS).pixels
        except UnreadableImage as error:
            return f"{path}: {error}"
        except TransportError as error:
            if error.kind not in ("gone", "forbidden"):
                raise
            return f"{path}: {error}"
        mask = np.ascontiguousarray(pixels.any(axis=2).astype(np.uint8))
        scale = (image_wh[0] / mask.shape[1], image_wh[1] / mask.shape[0]) * 2
        polygons = mask_polygons(mask)
        if not polygons:
            return f"{path}: no pixel of it is set"
        scaled = [tuple(value * scale[at % 2] for at, value in enumerate(polygon)) for polygon in polygons]
        return scaled, num_filled(polygons, mask)

    def _relations(self, image: str, image_wh: tuple[int, int]) -> Iterator[Said]:
        rows = self._rows("relations", image)
        if rows and not self.relations_as_texts:
            uri = f"#annotations of {image}"
            yield PassedOver(uri=uri, reason="relationship", what="annotation", number=len(rows))
            return
        for number, row in enumerate(rows):
            uri = f"#annotation/{image}/relationship/{number}"
            yield from parse_relation(row, uri, image_wh, self.labels.names, self.source)

    def _unread(self, image: str) -> Iterator[PassedOver]:
        """Columns that nothing is made of, with the number of rows that have them."""
        counted: Counter[str] = Counter()
        for what in self.labels.tables:
            counted.update(row[UNREAD] for row in self._rows(what, image) if row[UNREAD])
        for columns, number in sorted(counted.items()):
            yield PassedOver(
                uri=f"#annotations of {image}", reason="not_kept", detail=columns, what="annotation", number=number
            )


def id_of(name: str) -> str:
    """The id of an image, from its path."""
    return posixpath.splitext(posixpath.basename(name))[0]
