"""One COCO annotation to our types: captions to texts, boxes and masks to object regions, read text to text regions.

Scene text is that of COCO-Text v2 and of TextOCR: `utf8_string` with a `bbox` and a polygon, which is `mask` in the
first and `points` in the second; `polygon` is the name of COCO-Text v1, and any may have COCO's `segmentation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fld_engine.engine.data.geometry import from_top_left
from fld_engine.engine.sources.coco.places import Place, Record, place_of, short
from fld_engine.engine.sources.item import MAX_TEXT_CHARS, PassedOver, Rejected, clean_text, too_long
from fld_engine.schemas.annotations import GRANULARITIES, Region, RegionText, Source, Text

ILLEGIBLE = ("", ".")
"""What stands for text that nobody could read: TextOCR writes a full stop, COCO-Text nothing."""
OUTLINES = ("mask", "points", "polygon")
"""Fields that hold the outline of a text as one list `[x1 y1 x2 y2 …]`."""


def parse_caption(record: Record, place: str, source: Source) -> Iterator[Text | Rejected | PassedOver]:
    """The caption of an annotation as a text, brief unless its field `granularity` says otherwise; none if empty."""
    text = clean_text(str(record["caption"] or ""))
    granularity = record.get("granularity", "brief")
    if len(text) > MAX_TEXT_CHARS:
        yield too_long(place, text)
    elif granularity not in GRANULARITIES:
        detail = f"granularity {short(granularity)}: expected one of {', '.join(GRANULARITIES)}"
        yield Rejected(uri=place, reason="bad_granularity", detail=detail, what="annotation")
    elif text:
        yield Text(granularity=granularity, text=text, score=1.0, source=source)
    else:
        yield PassedOver(uri=place, reason="empty", what="annotation")


def parse_region(
    record: Record, uri: str, image_wh: tuple[int, int], categories: Mapping[Any, str], source: Source
) -> Iterator[Region | Rejected]:
    """The object region of an annotation, or why there is none; a mask that cannot be read is rejected alone."""
    category = record.get("category_id")
    phrase = categories.get(category) if isinstance(category, (int, str)) else None
    if phrase is None:
        detail = f"category_id {short(category)} is not in categories"
        yield Rejected(uri=uri, reason="dangling_id", detail=detail, what="annotation")
        return
    place = yield from place_of(record, uri, image_wh, outline=record.get("segmentation"), what=phrase)
    if place is None:
        return
    texts = [RegionText(kind="phrase", text=phrase, score=1.0, source=source)]
    if isinstance(record.get("caption"), str) and (brief := clean_text(record["caption"])[:MAX_TEXT_CHARS]):
        texts.append(RegionText(kind="brief", text=brief, score=1.0, source=source))
    yield Region(
        kind="object", box_xyxy=place.box_xyxy, score=1.0, texts=tuple(texts), masks=place.masks(source), source=source
    )


def parse_scene_text(
    record: Record, uri: str, image_wh: tuple[int, int], source: Source
) -> Iterator[Region | Rejected]:
    """The text region of an annotation, or why there is none; an outline that cannot be read is rejected alone.

    Four corners become the quadrilateral, any other outline a mask. What nobody could read is no text.
    """
    said = record.get("utf8_string", "")
    if not isinstance(said, str):
        yield Rejected(uri=uri, reason="bad_text", detail=f"utf8_string {short(said)} is no string", what="annotation")
        return
    text = clean_text(said)
    if text in ILLEGIBLE or record.get("legibility") == "illegible":
        detail = f"utf8_string {short(said)}, legibility {short(record.get('legibility'))}"
        yield Rejected(uri=uri, reason="illegible", detail=detail, what="annotation")
        return
    if len(text) > MAX_TEXT_CHARS:
        yield too_long(uri, text)
        return
    place = yield from place_of(record, uri, image_wh, outline=_outline(record), what=text)
    if place is not None:
        yield _text_region(text, place, source)


def _text_region(text: str, place: Place, source: Source) -> Region:
    is_quad = [len(polygon) for polygon in place.polygons] == [8]
    return Region(
        kind="text",
        box_xyxy=place.box_xyxy,
        quad=from_top_left(place.polygons[0]) if is_quad else None,
        score=1.0,
        texts=(RegionText(kind="ocr", text=text, score=1.0, source=source),),
        masks=() if is_quad else place.masks(source),
        source=source,
    )


def _outline(record: Record) -> Any:
    flat = next((record[field] for field in OUTLINES if record.get(field)), None)
    return [flat] if flat is not None else record.get("segmentation")
