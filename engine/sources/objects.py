"""Boxes with classes in a record of an image, as Hugging Face's detection sets have them under `objects`.

Boxes are `[x, y, width, height]` in pixels, or objects of these names, or of `xmin` and its like.
https://huggingface.co/docs/datasets/image_dataset#object-detection
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fld_engine.engine.sources.authors import PEOPLE, Author, source_of
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.place import place_of, short, xywh_of
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, clean_text
from fld_engine.schemas.annotations import Region, RegionText

OBJECT_NAMES = ("objects", "annotations", "faces")
"""Names under which records have their boxes."""
BOX_NAMES = ("bbox", "bboxes", "box", "boxes")
CLASS_NAMES = (
    "category", "categories", "category_name", "label", "labels", "class", "classes", "class_name", "name", "names",
    "category_id", "class_id", "label_id",
)  # fmt: skip
"""Names under which an object has its class, first match first."""

SEGMENT_ANYTHING = source_of("", made_by="sa-1b")
"""Who drew the masks of SA-1B: a model, all of them. https://ai.meta.com/datasets/segment-anything"""

_SIDES = (("x", "y", "width", "height"), ("x", "y", "w", "h"), ("left", "top", "width", "height"))
_CORNERS = (("xmin", "ymin", "xmax", "ymax"), ("x_min", "y_min", "x_max", "y_max"), ("x1", "y1", "x2", "y2"))
_FAR = 1.1
"""A box that ends beyond this many sides of the picture is no `[x, y, width, height]` of it."""

Objects = list[Mapping[str, Any]]


def objects_of(value: object) -> Objects | None:
    """The objects of a record: a list of them, or lists of what they have; `None` where it is neither."""
    if isinstance(value, list) and all(isinstance(item, Mapping) for item in value):
        found: Objects = list(value)
        return found if not found or any(has_boxes(item) or "segmentation" in item for item in found) else None
    if not isinstance(value, Mapping) or not has_boxes(value):
        return None
    columns = {name: column for name, column in value.items() if isinstance(column, list)}
    numbers = {len(column) for column in columns.values()}
    if len(numbers) > 1 or any(isinstance(value[name], Mapping) for name in BOX_NAMES if name in value):
        return None
    return [{name: column[i] for name, column in columns.items()} for i in range(max(numbers, default=0))]


def has_boxes(record: Mapping[str, Any]) -> bool:
    return any(name in record for name in BOX_NAMES)


def regions_of(
    found: Objects, uri: str, image_wh: tuple[int, int], classes: Mapping[str, Sequence[str]]
) -> Iterator[Region | Rejected | PassedOver]:
    """Regions of objects in the frame of the upright image, or why there are none.

    `classes` are names of numbered classes by the name of their field. `uri` is that of the record.
    """
    for number, one in enumerate(found):
        place_uri = f"{uri}/{number}"
        box = next((one[name] for name in BOX_NAMES if one.get(name) is not None), None)
        by_model = "predicted_iou" in one
        if not by_model and any(isinstance(one.get(name), float) for name in ("score", "confidence")):
            detail = "objects with scores are a model's, and nothing says whose"
            yield Rejected(uri=place_uri, reason="predictions", detail=detail, what="annotation")
            continue
        xywh = _sides(box)
        if doubt := _doubt(xywh, one.get("area"), image_wh):
            yield Rejected(uri=place_uri, reason=doubt[0], detail=doubt[1], what="annotation")
            continue
        label = _class_of(one, classes)
        record = {"bbox": xywh, "iscrowd": one.get("iscrowd")}
        place = yield from place_of(
            record, place_uri, image_wh, outline=one.get("segmentation"), what=label or "something"
        )
        if place is None:
            continue
        yield from place.filled(place_uri)
        source, score = (SEGMENT_ANYTHING, _share(one["predicted_iou"])) if by_model else (PEOPLE, 1.0)
        if label is None:
            yield PassedOver(uri=place_uri, reason="class_without_name", detail=_said(one), what="annotation")
        texts = (RegionText(kind="phrase", text=label, score=1.0, source=source),) if label else ()
        masks = place.masks(Author(source, score))
        yield Region(kind="object", box_xyxy=place.box_xyxy, score=score, texts=texts, masks=masks, source=source)


def class_name(value: object, names: Sequence[str]) -> str | None:
    """The name of a class that is written as it is, or by its number among `names`; `None` where nobody can tell."""
    if isinstance(value, str) and not value.isdigit():
        text = clean_text(value)
        return text if text and len(text) <= MAX_TEXT_CHARS else None
    try:
        number = int(value) if isinstance(value, int | str) and not isinstance(value, bool) else -1
    except ValueError:
        return None
    return clean_text(names[number]) or None if 0 <= number < len(names) else None


def _class_of(one: Mapping[str, Any], classes: Mapping[str, Sequence[str]]) -> str | None:
    """The class of an object; empty where it has none at all, `None` where it has a number without a name."""
    there = [name for name in CLASS_NAMES if one.get(name) is not None]
    if not there:
        return ""
    return next((said for name in there if (said := class_name(one[name], classes.get(name, ())))), None)


def _said(one: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {short(one[name])}" for name in CLASS_NAMES if one.get(name) is not None)


def _sides(box: Any) -> Any:
    """A box as `[x, y, width, height]`, where it is an object of numbers; any other as it is."""
    if not isinstance(box, Mapping):
        return box
    for names in _SIDES:
        if all(name in box for name in names):
            return [box[name] for name in names]
    for names in _CORNERS:
        if all(isinstance(box.get(name), int | float) for name in names):
            return xywh_of([box[name] for name in names])
    return box


def _doubt(box: Any, area: Any, image_wh: tuple[int, int]) -> tuple[str, str] | None:
    """(reason, what says) that a box is not `[x, y, width, height]` in pixels; `None` where nothing does."""
    if not isinstance(box, list) or len(box) != 4 or not all(type(value) in (int, float) for value in box):
        return None  # `place_of` has a reason for it
    x, y, third, fourth = box
    if all(0 <= value <= 1 for value in box) and any(value % 1 for value in box):
        return "box_in_fractions", f"bbox {short(box)}: expected [x, y, width, height] in pixels"
    width, height = image_wh
    beyond = x + third > _FAR * width or y + fourth > _FAR * height
    as_corners = x < third <= _FAR * width and y < fourth <= _FAR * height
    if as_corners and isinstance(area, int | float):
        beyond = beyond or abs((third - x) * (fourth - y) - area) < 0.01 * area
    if beyond and as_corners:
        return "box_form", f"bbox {short(box)} are corners in a picture of {image_wh}: expected [x, y, width, height]"
    return None


def _share(value: Any) -> float:
    return min(1.0, max(0.0, float(value))) if isinstance(value, int | float) else 1.0
