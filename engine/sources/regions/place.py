"""Where an annotation is: its box and its outline, in pixels of the upright image and cut to its frame."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fld_engine.engine.sources.authors import Author
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.cutting import cut_to_frame
from fld_engine.engine.sources.regions.rle import Bitmap, decode_rle, mask_polygons
from fld_engine.engine.sources.regions.rle import num_filled as count_filled
from fld_engine.schemas.annotations import Mask, Polygon

Record = Mapping[str, Any]
Box = tuple[float, float, float, float]

REFUSED = "fld_refused"
"""Key of an annotation whose place is not used: (reason, detail)."""
OUTLINES = ("mask", "points", "polygon")
"""Fields that hold the outline of a text as one list `[x1 y1 x2 y2 …]`."""


@dataclass(frozen=True, slots=True)
class Place:
    """`box_xyxy` and `polygons`, of which there may be none, inside the frame; `num_filled` pixels were holes."""

    box_xyxy: Box
    polygons: tuple[Polygon, ...]
    num_filled: int = 0

    def filled(self, uri: str) -> Iterator[PassedOver]:
        """That the mask of an annotation lost its holes, which no polygon has."""
        if self.num_filled:
            yield hole_filled(uri, self.num_filled)

    def masks(self, author: Author) -> tuple[Mask, ...]:
        """The polygons as a mask, none where there are none."""
        return (Mask(polygons=self.polygons, score=author.score, source=author.source),) if self.polygons else ()


def place_of(
    record: Record, uri: str, image_wh: tuple[int, int], *, outline: Any, what: str
) -> Generator[Rejected, None, Place | None]:
    """The place of an annotation, or why there is none; an outline that cannot be read is rejected alone.

    `outline` is polygons or a run-length mask; a box that is missing is taken from it. `what` names the annotation.
    """
    if REFUSED in record:
        reason, detail = record[REFUSED]
        yield Rejected(uri=uri, reason=reason, detail=detail, what="annotation")
        return None
    if record.get("iscrowd"):
        detail = f"a crowd of {what!r} is not one object; set crowd: keep on the source where it is"
        yield Rejected(uri=uri, reason="crowd", detail=detail, what="annotation")
        return None
    num_filled = 0
    try:
        if outline and isinstance(outline, dict):
            bitmap = _decoded(outline, image_wh, record.get("bbox"))
            polygons = mask_polygons(bitmap)
            num_filled = count_filled(polygons, bitmap)
        else:
            polygons = _polygons(outline, image_wh)
    except (ValueError, OverflowError) as error:
        polygons = []
        yield Rejected(uri=uri, reason="bad_mask", detail=str(error), what="annotation")
    else:
        if outline and isinstance(outline, list) and not polygons:
            detail = f"of outline {short(outline)}, nothing is inside an image of {image_wh}"
            yield Rejected(uri=uri, reason="mask_outside", detail=detail, what="annotation")
    box, reason = _box(record.get("bbox") or _bounds_xywh(polygons), image_wh)
    if box is None:
        detail = f"bbox {short(record.get('bbox'))} in an image of {image_wh}"
        yield Rejected(uri=uri, reason=reason, detail=detail, what="annotation")
        return None
    return Place(box, tuple(map(tuple, polygons)), num_filled)


def hole_filled(uri: str, num_pixels: int) -> PassedOver:
    detail = f"{num_pixels} pixels of the mask's holes are covered by its outlines"
    return PassedOver(uri=uri, reason="hole_filled", detail=detail, what="annotation")


def xywh_of(corners: Sequence[float]) -> list[float]:
    """COCO's x, y, width, height of x1 y1 x2 y2."""
    x1, y1, x2, y2 = corners
    return [x1, y1, x2 - x1, y2 - y1]


def short(value: Any) -> str:
    """A value from a json as a message quotes it."""
    return repr(value)[:80]


def _box(xywh: Any, image_wh: tuple[int, int]) -> tuple[Box | None, str]:
    """COCO's `[x, y, width, height]` as x1 y1 x2 y2, cut to the frame; or the reason why it is none."""
    try:
        x, y, width, height = _numbers(xywh)
    except (ValueError, OverflowError):
        return None, "box_malformed"
    if not all(map(math.isfinite, (x, y, width, height, x + width, y + height))):
        return None, "box_not_finite"
    if width <= 0 or height <= 0:
        return None, "box_empty"
    x1, x2 = (round(min(max(value, 0.0), image_wh[0]), 2) for value in (x, x + width))
    y1, y2 = (round(min(max(value, 0.0), image_wh[1]), 2) for value in (y, y + height))
    if x1 >= x2 or y1 >= y2:
        outside = x >= image_wh[0] or y >= image_wh[1] or x + width <= 0 or y + height <= 0
        return None, "box_outside" if outside else "box_empty"
    return (x1, y1, x2, y2), ""


def _polygons(segmentation: Any, image_wh: tuple[int, int]) -> list[list[float]]:
    """Polygons of a mask, cut to the frame, without those that enclose nothing. Raises `ValueError`."""
    if not segmentation:
        return []
    if not isinstance(segmentation, list):
        raise ValueError(f"segmentation {short(segmentation)} is neither polygons nor a run-length mask")
    cut = []
    for polygon in segmentation:
        values = _numbers(polygon)
        if len(values) < 6 or len(values) % 2 or not all(map(math.isfinite, values)):
            raise ValueError(f"polygon {short(polygon)} is not three or more finite x y pairs")
        cut += cut_to_frame(values, image_wh)
    return cut


def _decoded(rle: Mapping[str, Any], image_wh: tuple[int, int], bbox: Any) -> Bitmap:
    """A run-length mask; one whose size is the wrong way round where its box shows how it is meant."""
    width, height = image_wh
    if rle.get("size") != [width, height] or width == height:
        return decode_rle(rle, image_wh)
    by_columns = decode_rle({**rle, "size": [height, width]}, image_wh)
    by_rows = np.ascontiguousarray(by_columns.T.reshape(height, width))
    fitting = [mask for mask in (by_columns, by_rows) if _fills(mask, bbox)]
    if len(fitting) != 1:
        raise ValueError(f"the mask's size is {rle['size']}; expected [height, width], [{height}, {width}]")
    return fitting[0]


def _fills(mask: Bitmap, bbox: Any) -> bool:
    """Whether a mask reaches to all sides of a box and no further, within two pixels."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    if not len(rows) or not isinstance(bbox, list) or [type(value) for value in bbox] != [float] * 4:
        return False
    x, y, w, h = bbox
    around = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return all(abs(one - other) <= 2 for one, other in zip(around, (x, y, x + w, y + h), strict=True))


def _bounds_xywh(polygons: list[list[float]]) -> list[float] | None:
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if xs else None


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{short(values)} is not a list of numbers")
    return [float(value) for value in values]
