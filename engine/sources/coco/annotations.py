"""One COCO annotation to our types: captions to texts, boxes and masks to object regions, read text to text regions.

Scene text is that of COCO-Text v2 and of TextOCR: `utf8_string` with a `bbox` and a polygon, which is `mask` in the
first and `points` in the second; `polygon` is the name of COCO-Text v1, and any may have COCO's `segmentation`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fld_engine.engine.data.geometry import from_top_left
from fld_engine.engine.sources.authors import Author, Authors
from fld_engine.engine.sources.coco.categories import Categories
from fld_engine.engine.sources.item import PassedOver, Rejected, too_long
from fld_engine.engine.sources.regions.place import OUTLINES, Place, Record, place_of, short
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, clean_text
from fld_engine.engine.sources.values import captions
from fld_engine.schemas.annotations import GRANULARITIES, REGION_TEXT_KINDS, Label, Region, RegionText, Text
from fld_engine.schemas.origins import Origin

ILLEGIBLE = ("", ".")
"""What stands for text that nobody could read: TextOCR writes a full stop, COCO-Text nothing."""


def parse_caption(record: Record, place: str, author: Author) -> Iterator[Text | Rejected | PassedOver]:
    """The captions of an annotation as texts, brief unless its field `granularity` says otherwise; none if empty."""
    granularity = record.get("granularity", "brief")
    if granularity not in GRANULARITIES:
        detail = f"granularity {short(granularity)}: expected one of {', '.join(GRANULARITIES)}"
        yield Rejected(uri=place, reason="bad_granularity", detail=detail, what="annotation")
        return
    for text in captions(record["caption"]):
        if text is None:
            detail = f"caption {short(record['caption'])} is no text"
            yield PassedOver(uri=place, reason="form_not_read", detail=detail, what="annotation")
        elif len(text) > MAX_TEXT_CHARS:
            yield too_long(place, text)
        elif text:
            composed = record.get("fld_origin") == Origin.COMPOSED
            yield Text(granularity=granularity, text=text, score=author.score, source=author.source, composed=composed)
        else:
            yield PassedOver(uri=place, reason="empty", what="annotation")


def parse_label(record: Record, uri: str, categories: Categories, author: Author) -> Iterator[Label | Rejected]:
    """The class of an annotation that has no place: it is said of the whole image."""
    name = categories.name(record)
    if name:
        yield Label(label=name, score=author.score, source=author.source)
    else:
        yield _dangling(record, uri, categories)


def parse_region(
    record: Record, uri: str, image_wh: tuple[int, int], categories: Categories, author: Author, authors: Authors
) -> Iterator[Region | Rejected | PassedOver]:
    """The object region of an annotation, or why there is none; a mask that cannot be read is rejected alone."""
    phrase = categories.name(record)
    if not phrase:
        yield _dangling(record, uri, categories)
        return
    place = yield from place_of(record, uri, image_wh, outline=record.get("segmentation"), what=phrase)
    if place is None:
        return
    yield from place.filled(uri)
    texts = [RegionText(kind="phrase", text=phrase, score=author.score, source=author.source)]
    if isinstance(record.get("caption"), str) and (brief := clean_text(record["caption"])[:MAX_TEXT_CHARS]):
        texts.append(RegionText(kind="brief", text=brief, score=author.score, source=author.source))
    mask = author
    try:
        texts = _own_texts(record, author, authors) or texts
        mask = authors.part(record.get("fld_mask"), author)
    except (ValueError, OverflowError) as error:
        yield Rejected(uri=uri, reason="bad_score", detail=str(error), what="annotation")
    yield Region(
        kind="object",
        box_xyxy=place.box_xyxy,
        score=author.score,
        texts=tuple(texts),
        masks=place.masks(mask),
        source=author.source,
    )


def _own_texts(record: Record, author: Author, authors: Authors) -> list[RegionText]:
    """The texts of a region that the exporter `coco` wrote, each with who made it. Raises `ValueError`."""
    told = record.get("fld_texts")
    made = []
    for one in told if isinstance(told, list) else ():
        text = clean_text(one["text"]) if isinstance(one, dict) and isinstance(one.get("text"), str) else ""
        if text and one.get("kind") in REGION_TEXT_KINDS and len(text) <= MAX_TEXT_CHARS:
            by = authors.part(one, author)
            made.append(RegionText(kind=one["kind"], text=text, score=by.score, source=by.source))
    return made


def _dangling(record: Record, uri: str, categories: Categories) -> Rejected:
    detail = f"category_id {short(record.get('category_id'))} is not in categories"
    if categories.why:
        detail = f"{detail}: {categories.why}"
    return Rejected(uri=uri, reason="dangling_id", detail=detail, what="annotation")


def parse_scene_text(
    record: Record, uri: str, image_wh: tuple[int, int], author: Author
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
        yield _text_region(text, place, author)


def _text_region(text: str, place: Place, author: Author) -> Region:
    is_quad = [len(polygon) for polygon in place.polygons] == [8]
    return Region(
        kind="text",
        box_xyxy=place.box_xyxy,
        quad=from_top_left(place.polygons[0]) if is_quad else None,
        score=author.score,
        texts=(RegionText(kind="ocr", text=text, score=author.score, source=author.source),),
        masks=() if is_quad else place.masks(author),
        source=author.source,
    )


def _outline(record: Record) -> Any:
    flat = next((record[field] for field in OUTLINES if record.get(field)), None)
    return [flat] if flat is not None else record.get("segmentation")
