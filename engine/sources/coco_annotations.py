"""One COCO annotation to our types: captions to texts, boxes and masks to object regions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from engine.geometry import polygon_area
from engine.sources.item import MAX_TEXT_CHARS, Rejected, clean_text, too_long
from engine.sources.rle import decode_rle, mask_polygons
from schemas.annotations import GRANULARITIES, Mask, Region, RegionText, Source, Text

Record = Mapping[str, Any]
Box = tuple[float, float, float, float]


def parse_caption(record: Record, place: str, source: Source) -> Iterator[Text | Rejected]:
    """The caption of an annotation as a text, brief unless its field `granularity` says otherwise; none if empty."""
    text = clean_text(str(record["caption"] or ""))
    granularity = record.get("granularity", "brief")
    if len(text) > MAX_TEXT_CHARS:
        yield too_long(place, text)
    elif granularity not in GRANULARITIES:
        detail = f"granularity {_short(granularity)}: expected one of {', '.join(GRANULARITIES)}"
        yield Rejected(uri=place, reason="bad_granularity", detail=detail, what="annotation")
    elif text:
        yield Text(granularity=granularity, text=text, score=1.0, source=source)


def parse_region(
    record: Record, place: str, image_wh: tuple[int, int], categories: Mapping[Any, str], source: Source
) -> Iterator[Region | Rejected]:
    """The region of an annotation, or why there is none; a mask that cannot be read is rejected alone.

    A box that is missing is taken from the mask.
    """
    category = record.get("category_id")
    phrase = categories.get(category) if isinstance(category, (int, str)) else None
    if phrase is None:
        yield Rejected(
            uri=place,
            reason="dangling_id",
            detail=f"category_id {_short(category)} is not in categories",
            what="annotation",
        )
        return
    if record.get("iscrowd"):
        yield Rejected(uri=place, reason="crowd", detail=f"a crowd of {phrase!r} is not one object", what="annotation")
        return
    try:
        polygons = _polygons(record.get("segmentation"), image_wh)
    except (ValueError, OverflowError) as error:
        polygons = []
        yield Rejected(uri=place, reason="bad_mask", detail=str(error), what="annotation")
    box, reason = _box(record.get("bbox") or _bounds_xywh(polygons), image_wh)
    if box is None:
        yield Rejected(
            uri=place,
            reason=reason,
            detail=f"bbox {_short(record.get('bbox'))} in an image of {image_wh}",
            what="annotation",
        )
        return
    texts = [RegionText(kind="phrase", text=phrase, score=1.0, source=source)]
    if isinstance(record.get("caption"), str) and (brief := clean_text(record["caption"])[:MAX_TEXT_CHARS]):
        texts.append(RegionText(kind="brief", text=brief, score=1.0, source=source))
    masks = (Mask(polygons=tuple(map(tuple, polygons)), score=1.0, source=source),) if polygons else ()
    yield Region(kind="object", box_xyxy=box, score=1.0, texts=tuple(texts), masks=masks, source=source)


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
    if isinstance(segmentation, dict):
        return mask_polygons(decode_rle(segmentation, image_wh))
    if not isinstance(segmentation, list):
        raise ValueError(f"segmentation {_short(segmentation)} is neither polygons nor a run-length mask")
    cut = []
    for polygon in segmentation:
        values = _numbers(polygon)
        if len(values) < 6 or len(values) % 2 or not all(map(math.isfinite, values)):
            raise ValueError(f"polygon {_short(polygon)} is not three or more finite x y pairs")
        inside = [round(min(max(value, 0.0), image_wh[i % 2]), 2) for i, value in enumerate(values)]
        if polygon_area(inside) != 0:
            cut.append(inside)
    return cut


def _bounds_xywh(polygons: list[list[float]]) -> list[float] | None:
    xs = [x for polygon in polygons for x in polygon[0::2]]
    ys = [y for polygon in polygons for y in polygon[1::2]]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if xs else None


def _numbers(values: Any) -> list[float]:
    if not isinstance(values, list) or not all(type(value) in (int, float) for value in values):
        raise ValueError(f"{_short(values)} is not a list of numbers")
    return [float(value) for value in values]


def _short(value: Any) -> str:
    return repr(value)[:80]
