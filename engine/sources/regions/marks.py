"""What label files say is somewhere on an image, as regions of the upright picture.

A layout turns each thing that it finds into a `Mark`, in pixels of the picture that its tool showed; which of the two
pictures that is, where EXIF turns the stored one, is told from all marks of an image together (`frames`).
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.frames import Exif, framed
from fld_engine.engine.sources.regions.place import Record, hole_filled, place_of, xywh_of
from fld_engine.engine.sources.regions.rle import Bitmap, mask_polygons, num_filled
from fld_engine.schemas.annotations import Mask, Region, RegionText, Source
from fld_engine.schemas.origins import Origin

Kept = TypeVar("Kept")
FILLED = "fld_filled"
"""Field of a mark's record: how many pixels of its mask's holes its outlines cover."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing on an image. `what` is its class, empty where nobody named it.

    `record` has COCO's `bbox` (x, y, width, height) or its `segmentation`, or both; scores are those of `source`.
    """

    uri: str
    what: str
    record: Record
    source: Source
    score: float = 1.0
    mask_score: float = 1.0


def corners_rotated(centre_xy: tuple[float, float], wh: tuple[float, float], degrees: float) -> list[float]:
    """Four corners `[x1 y1 … x4 y4]`, from the top left, of a box turned clockwise, as the picture shows it."""
    (x, y), (half_width, half_height) = centre_xy, (wh[0] / 2, wh[1] / 2)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    offsets = [(sx * half_width, sy * half_height) for sx, sy in signs]
    return [value for dx, dy in offsets for value in (x + dx * cos - dy * sin, y + dx * sin + dy * cos)]


def by_machine(found: Generator[Rejected, None, Kept]) -> Generator[Rejected, None, Kept]:
    """What is found and refused, the latter counted as what no person said."""
    while True:
        try:
            one = next(found)
        except StopIteration as done:
            kept: Kept = done.value
            return kept
        yield one.model_copy(update={"by": "web"})


def record_of_bitmap(bitmap: Bitmap, left_top: tuple[float, float]) -> dict[str, Any]:
    """COCO's box and outlines of (height, width) zeros and ones whose top left is at a point of the image.

    Raises `ValueError` where nothing is set.
    """
    rows, columns = (np.flatnonzero(bitmap.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        raise ValueError("no pixel of the mask is set")
    left, top = left_top
    corners = left + columns[0], top + rows[0], left + columns[-1] + 1, top + rows[-1] + 1
    outlines = mask_polygons(bitmap)
    polygons = [np.reshape(one, (-1, 2)) + np.array(left_top) for one in outlines]
    return {
        FILLED: num_filled(outlines, bitmap),
        "bbox": xywh_of([float(side) for side in corners]),
        "segmentation": [[float(value) for value in one.reshape(-1)] for one in polygons],
    }


def regions_of(
    marks: Sequence[Mark],
    stated_wh: tuple[int, int] | None,
    upright_wh: tuple[int, int],
    orientation: int,
    exif: Exif,
) -> Iterator[Region | Rejected | PassedOver]:
    """Object regions of marks in the upright picture, or why there is none.

    `stated_wh` is the size that the label file gives for the image, `None` where it gives none.
    """
    placed = framed([(mark.uri, mark.record) for mark in marks], stated_wh, upright_wh, orientation, exif)
    of_people = any(mark.source.annotator == Origin.HUMAN for mark in marks)
    frame = yield from (placed if of_people else by_machine(placed))
    for mark in marks if frame else ():
        found = _region(mark, frame.wh if frame else upright_wh)
        region = yield from (found if mark.source.annotator == Origin.HUMAN else by_machine(found))
        if frame and region:
            if mark.record.get(FILLED):
                by = "human" if mark.source.annotator == Origin.HUMAN else "web"
                yield hole_filled(mark.uri, mark.record[FILLED]).model_copy(update={"by": by})
            yield frame.region(region)


def _region(mark: Mark, image_wh: tuple[int, int]) -> Generator[Rejected, None, Region | None]:
    outline = mark.record.get("segmentation")
    place = yield from place_of(mark.record, mark.uri, image_wh, outline=outline, what=mark.what)
    if place is None:
        return None
    masks = (Mask(polygons=place.polygons, score=mark.mask_score, source=mark.source),) if place.polygons else ()
    named = (RegionText(kind="phrase", text=mark.what, score=mark.score, source=mark.source),) if mark.what else ()
    return Region(
        kind="object", box_xyxy=place.box_xyxy, score=mark.score, texts=named, masks=masks, source=mark.source
    )
