"""Boxes and outlines as tools write them, to COCO's own forms; what can be read in two ways is refused with the cure.

COCO's box is `[x, y, width, height]` in pixels. Many files hold corners instead, fractions of the image, or a rectangle
that is to be turned. Which form it is can only be told where something else in the file says so: the `area`, the
outline, the frame. One annotation proves little, so the file as a whole is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from fld_engine.engine.sources.regions.place import REFUSED
from fld_engine.engine.sources.values import flag, from_text, number, numbers, without_bytes_repr

Row = dict[str, Any]
Wh = tuple[int | None, int | None]

CURE = "write boxes as [x, y, width, height] in pixels of the image"
TOLERANCE_PX = 2.0
_CLOSE = {"rel_tol": 0.005, "abs_tol": 0.01}


def bring_into_form(records: Iterable[Row], sizes: Mapping[str, Wh]) -> None:
    """Change annotations to COCO's own forms in place; `image_id` of each is a key of `sizes`."""
    boxed = []
    for record in records:
        _outline(record)
        if "bbox" in record:
            _box(record)
            if REFUSED not in record and _is_box(record["bbox"]) and record.get("bbox_mode") is None:
                boxed.append(record)
    _corners(boxed, sizes)
    for record in boxed:
        _rotation(record)


def _refuse(record: Row, reason: str, detail: str) -> None:
    record[REFUSED] = (reason, f"{detail}; {CURE}")


def _box(record: Row) -> None:
    """The box as four numbers where it is that in any spelling; else it is left as it stands."""
    value = from_text(record["bbox"])
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    mode = record.get("bbox_mode")
    try:
        if isinstance(value, dict):
            value, mode = _named_sides(value)
        box = numbers(value)
    except (ValueError, OverflowError):
        record["bbox"] = value or None
        return
    if len(box) == 5:
        _refuse(record, "box_rotated", f"bbox {box} has an angle")
    elif mode not in (None, 0, 1):
        _refuse(record, "box_form", f"bbox_mode {mode!r} is not known")
    elif len(box) == 4 and mode == 0:  # detectron2's BoxMode.XYXY_ABS
        box = _from_corners(box)
    if len(box) == 4 and any(box) and all(0 <= value <= 1 for value in box):
        _refuse(record, "box_in_fractions", f"bbox {box} would be less than a pixel wide: it is a share of the image")
    if len(box) == 4 and not any(box) and record.get("segmentation"):
        box = []  # not known: that of the outline
    record["bbox"] = box


def _named_sides(value: Mapping[str, Any]) -> tuple[list[Any], int]:
    """Numbers of a box that names them, and 0 where they are corners."""
    for names, mode in (
        (("x", "y", "width", "height"), 1),
        (("x", "y", "w", "h"), 1),
        (("left", "top", "width", "height"), 1),
        (("xmin", "ymin", "xmax", "ymax"), 0),
        (("x1", "y1", "x2", "y2"), 0),
    ):
        if all(name in value for name in names):
            return [value[name] for name in names], mode
    raise ValueError("not a box")


def _from_corners(box: list[float]) -> list[float]:
    x1, y1, x2, y2 = box
    return [x1, y1, round(x2 - x1, 6), round(y2 - y1, 6)]


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(isinstance(v, float) and math.isfinite(v) for v in box)


def _corners(records: list[Row], sizes: Mapping[str, Wh]) -> None:
    """Tell corners from x, y, width, height: by areas and outlines of the whole file, else by what leaves the frame."""
    witnesses = {id(record): said for record in records if (said := _says(record))}
    for_corners = [record for record in records if witnesses.get(id(record)) == "corners"]
    could_be = [record for record in records if _may_be_corners(record, sizes)]
    if for_corners and "xywh" not in witnesses.values() and len(could_be) == len(records):
        for record in records:
            record["bbox"] = _from_corners(record["bbox"])
    elif for_corners:
        for record in for_corners:
            _refuse(record, "box_form", f"bbox {record['bbox']} fits its area or outline only as corners")
    elif not witnesses and len(could_be) == len(records):
        leaving = [record for record in records if _leaves(record, sizes)]
        detail = (
            f"{len(leaving)} of {len(records)} boxes of the file reach out of their images as x, y, width, height, "
            "and none does as corners"
        )
        for record in records if leaving else ():
            _refuse(record, "box_form", detail)


def _says(record: Row) -> str:
    """What the area or the outline of an annotation says its box is: `xywh`, `corners`, or nothing."""
    x, y, w, h = record["bbox"]
    is_ordered = w > x and h > y
    outline = record.get("segmentation")
    if not outline:
        try:
            area = number(record.get("area"))
        except (ValueError, OverflowError):
            return ""
        readings = (math.isclose(area, w * h, **_CLOSE), is_ordered and math.isclose(area, (w - x) * (h - y), **_CLOSE))
        if area <= 0:
            return ""
    else:
        bounds = _bounds(outline)
        if bounds is None:
            return ""
        both = ((x, y, x + w, y + h), (x, y, w, h))
        readings = tuple(  # type: ignore[assignment]
            all(abs(one - other) <= TOLERANCE_PX for one, other in zip(bounds, box, strict=True)) for box in both
        )
    return {(True, False): "xywh", (False, True): "corners"}.get(readings, "")


def _bounds(outline: Any) -> tuple[float, float, float, float] | None:
    """Of polygons; a run-length mask is not looked at."""
    if not isinstance(outline, list) or not all(isinstance(polygon, list) for polygon in outline):
        return None
    xs = [value for polygon in outline for value in polygon[0::2] if isinstance(value, float)]
    ys = [value for polygon in outline for value in polygon[1::2] if isinstance(value, float)]
    return (min(xs), min(ys), max(xs), max(ys)) if xs and ys else None


def _frame(record: Row, sizes: Mapping[str, Wh]) -> tuple[float, float]:
    """The largest size that the image may have, whichever way it is turned."""
    width, height = sizes.get(str(record.get("image_id")), (None, None))
    if not width or not height:
        return math.inf, math.inf
    return width + TOLERANCE_PX, height + TOLERANCE_PX


def _may_be_corners(record: Row, sizes: Mapping[str, Wh]) -> bool:
    x1, y1, x2, y2 = record["bbox"]
    width, height = _frame(record, sizes)
    return bool(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height)


def _leaves(record: Row, sizes: Mapping[str, Wh]) -> bool:
    x, y, w, h = record["bbox"]
    width, height = _frame(record, sizes)
    return bool(x + w > width or y + h > height)


def _rotation(record: Row) -> None:
    """A rectangle that is turned: by quarters about its centre, as CVAT writes it, it is a box; else it is refused."""
    attributes = record.get("attributes")
    told = attributes.get("rotation") if isinstance(attributes, dict) else None
    of_cvat = told is not None
    if told is None:
        told = next((record[name] for name in ("rotation", "angle", "theta") if record.get(name) is not None), None)
    try:
        degrees = number(told) if told is not None else 0.0
    except ValueError:
        return
    if not math.isfinite(degrees) or degrees % 360 == 0:
        return
    x, y, w, h = record["bbox"]
    if record.get("segmentation"):
        record["bbox"] = []  # the outline is that of the turned rectangle
    elif of_cvat and degrees % 180 == 0:
        return
    elif of_cvat and degrees % 90 == 0:
        record["bbox"] = [x + (w - h) / 2, y + (h - w) / 2, h, w]
    else:
        detail = f"bbox {record['bbox']} is turned by {degrees:g}, and a box has upright sides"
        record[REFUSED] = ("box_rotated", f"{detail}; export the object as a polygon")


def _outline(record: Row) -> None:
    """The outline as a list of polygons or as run lengths; none where it says nothing."""
    if "segmentation" not in record:
        return
    value = from_text(record["segmentation"])
    if isinstance(value, list):
        if len(value) == 1 and isinstance(value[0], dict) and "counts" in value[0]:
            value = value[0]
        else:
            value = _polygons([from_text(one) for one in value if one not in ([], None, "", {})])
    if isinstance(value, dict):
        value = _run_lengths(value)
    record["segmentation"] = value or None


def _polygons(parts: list[Any]) -> list[Any]:
    """`[[x1, y1, …], …]` from one flat list, from a list of points, or from lists of points."""
    if parts and all(not isinstance(part, list | dict) for part in parts):
        parts = [parts]
    elif len(parts) > 2 and all(_is_point(part) for part in parts):
        parts = [[value for point in parts for value in _point(point)]]
    made: list[Any] = []
    for part in parts:
        if isinstance(part, list) and part and all(_is_point(point) for point in part):
            part = [value for point in part for value in _point(point)]
        try:
            made.append(numbers(part))
        except (ValueError, OverflowError):
            made.append(part)
    return made


def _is_point(value: Any) -> bool:
    if isinstance(value, dict):
        return "x" in value and "y" in value
    return isinstance(value, list) and len(value) == 2 and not any(isinstance(one, list | dict) for one in value)


def _point(value: Any) -> list[Any]:
    return [value["x"], value["y"]] if isinstance(value, dict) else value


def _run_lengths(value: Row) -> Row | None:
    counts, size = from_text(value.get("counts")), from_text(value.get("size"))
    if not counts and not size:
        return None
    if isinstance(counts, str):
        counts = without_bytes_repr(counts)
    try:
        if isinstance(counts, list):
            counts = [_whole(one) for one in counts]
        size = [_whole(one) for one in size] if isinstance(size, list) else size
    except (ValueError, OverflowError):
        pass
    return {"size": size, "counts": counts}


def _whole(value: Any) -> Any:
    told = number(value)
    return int(told) if told.is_integer() else value


def is_crowd(record: Row, crowd: str) -> bool:
    """Whether an annotation marks several objects at once, which `crowd` may say is not so.

    CVAT, whose annotations have the attribute `occluded`, writes `iscrowd` 1 for every mask that was drawn with a
    brush, and means one object.
    """
    if not flag(record.get("iscrowd")) or crowd == "keep":
        return False
    attributes = record.get("attributes")
    return crowd == "drop" or not (isinstance(attributes, dict) and "occluded" in attributes)
