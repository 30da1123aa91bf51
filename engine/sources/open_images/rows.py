"""Rows of Open Images about one image, to our types.

Corners are fractions of the picture, from its top left. Classes are ids (`/m/0cmf2`), whose names stand in
`class-descriptions`; a class that is no such id is a name already, as tools write that export this layout.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.open_images.columns import FACTS, FLAGS
from fld_engine.engine.sources.regions.place import place_of
from fld_engine.engine.sources.regions.relations import Thing, relation_text
from fld_engine.engine.sources.texts import clean_text
from fld_engine.schemas.annotations import Absence, Label, Mask, Polygon, Region, RegionText, Source, Text

Row = Mapping[str, Any]
Wh = tuple[int, int]

MACHINE = "openimages-machine"
"""Annotator of the labels that a classifier gave."""
SAME_BOX = 2e-3
"""How far, in fractions, corners of a mask's box may be from those of its box: files round differently."""


def named(classes: Mapping[str, str], label: Any) -> str | None:
    """The name of a class; `None` where an id has none."""
    if not isinstance(label, str) or not label.strip():
        return None
    name = classes.get(label)
    return name or (None if label.startswith("/") else clean_text(label))


def no_name(uri: str, label: Any) -> Rejected:
    detail = f"LabelName {label!r} is not in class-descriptions; put the release's file of them beside the others"
    return Rejected(uri=uri, reason="dangling_id", detail=detail, what="annotation")


def parse_label(row: Row, uri: str, classes: Mapping[str, str], revision: str) -> Label | Absence | Rejected:
    """An image label: of people, what they confirmed with confidence 1 and what they denied with 0; or of a machine."""
    name = named(classes, row["LabelName"])
    if name is None:
        return no_name(uri, row["LabelName"])
    score = row["Confidence"]
    if score is None or not 0 <= score <= 1:
        detail = f"Confidence {score}: expected a number from 0 to 1"
        return Rejected(uri=uri, reason="bad_score", detail=detail, what="annotation")
    if row["Source"] == "machine":
        return Label(label=name, score=score, source=source_of(revision, made_by=MACHINE))
    source = source_of(revision)
    return (
        Absence(label=name, score=1.0, source=source) if score == 0 else Label(label=name, score=score, source=source)
    )


def corners_of(row: Row, before: str = "", after: str = "") -> tuple[Any, Any, Any, Any]:
    """x1 y1 x2 y2 in fractions, `None` where a number is none."""
    return tuple(row[f"{before}{name}{after}"] for name in ("XMin", "YMin", "XMax", "YMax"))


def xywh_of(corners: Sequence[Any], image_wh: Wh) -> list[Any]:
    """Corners in fractions as COCO's x, y, width and height in pixels; `None`s stay."""
    if any(value is None for value in corners):
        return [None] * 4
    x1, y1, x2, y2 = (value * side for value, side in zip(corners, (*image_wh, *image_wh), strict=True))
    return [x1, y1, x2 - x1, y2 - y1]


def parse_box(
    row: Row, uri: str, image_wh: Wh, classes: Mapping[str, str], masks: Sequence[Mask], source: Source
) -> Iterator[Region | Rejected]:
    """A box as an object region, with masks that are of it."""
    name = named(classes, row["LabelName"])
    if name is None:
        yield no_name(uri, row["LabelName"])
        return
    place = yield from place_of({"bbox": xywh_of(corners_of(row), image_wh)}, uri, image_wh, outline=None, what=name)
    if place is None:
        return
    score = 1.0 if row["Confidence"] is None else row["Confidence"]
    text = RegionText(kind="phrase", text=name, score=score, source=source)
    yield Region(kind="object", box_xyxy=place.box_xyxy, score=score, texts=(text,), masks=tuple(masks), source=source)


def parse_mask(row: Row, outlines: Sequence[Polygon], source: Source) -> Mask:
    """A mask. Its score is the IoU that the publisher predicts for it, 1 where none is stated."""
    return Mask(polygons=tuple(outlines), score=row["PredictedIoU"] or 1.0, source=source)


def box_of_mask(row: Row, mask: Mask, image_wh: Wh) -> Row:
    """The row of a mask as that of its box, for a mask whose box stands in no other file.

    Where the file of masks has no box either (Datumaro), it is the one around the mask.
    """
    flags = dict.fromkeys(FLAGS)
    corners = {name: row[f"Box{name}"] for name in ("XMin", "XMax", "YMin", "YMax")}
    if all(value is None for value in corners.values()):
        for axis, at in (("X", 0), ("Y", 1)):
            values = [value / image_wh[at] for outline in mask.polygons for value in outline[at::2]]
            corners[f"{axis}Min"], corners[f"{axis}Max"] = min(values), max(values)
    return {"LabelName": row["LabelName"], "Confidence": 1.0, "Source": None, **flags, **corners}


def is_mask_of(mask: Row, box: Row) -> bool:
    """Whether a mask is of a box: of one class, at one place."""
    if mask["LabelName"] != box["LabelName"]:
        return False
    pairs = list(zip(corners_of(mask, "Box"), corners_of(box), strict=True))
    return all(a is not None and b is not None and abs(a - b) <= SAME_BOX for a, b in pairs)


def parse_relation(
    row: Row, uri: str, image_wh: Wh, names: Mapping[str, str], source: Source
) -> Iterator[Text | Rejected]:
    """A relationship as a text. Of one with an attribute (`is`), whose second class is no thing, one side has a box."""
    sides = [named(names, row[f"LabelName{side}"]) for side in (1, 2)]
    for side, name in enumerate(sides, 1):
        if name is None:
            yield no_name(uri, row[f"LabelName{side}"])
            return
    predicate = str(row["RelationshipLabel"] or "")
    first, second = (xywh_of(corners_of(row, after=str(side)), image_wh) for side in (1, 2))
    yield from relation_text(
        Thing(str(sides[0]), first),
        names.get(predicate, predicate),
        Thing(str(sides[1]), None if predicate == "is" else second),
        uri,
        image_wh,
        source,
    )


def not_kept(boxes: Sequence[Row], facts: Sequence[Row], uri: str) -> Iterator[PassedOver]:
    """What is said of boxes and of the image itself, and has no place in any table, counted by column."""
    said = [(name, sum(row[name] == 1 for row in boxes)) for name in FLAGS if name != "IsGroupOf"]
    said += [(name, sum(bool(row[name]) for row in facts)) for name in FACTS]
    for name, number in said:
        if number:
            yield PassedOver(uri=uri, reason="not_kept", detail=name, what="annotation", number=number)
