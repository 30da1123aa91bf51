"""Pascal VOC: an XML file for each image.

Corners are pixel numbers from 1 in the releases of the challenge, whose last pixel belongs to the box (devkit of VOC
2012, section 4.2): `xmin` 1 is the picture's left edge. labelImg, CVAT and Roboflow write edges instead.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from xml.etree.ElementTree import Element

from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.marks import Mark
from fld_engine.engine.sources.regions.place import xywh_of
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import finite, wh_of
from fld_engine.engine.sources.xml import parse_xml, text_of
from fld_engine.schemas.annotations import Source

Corners = Literal["", "edges", "pixels"]
FLAGS = ("difficult", "truncated", "occluded")
"""What an object may be said to be, as 1, beside its class."""
FORMS = ("bndbox", "polygon", "robndbox")
FIELDS = {"name", "pose", "part", "actions", "attributes", "point", "type", "deleted", "id", *FLAGS, *FORMS}
"""Fields of an object that are read, or counted as what no region has."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What one XML file says. `name` is its image as it is written there, empty where it is not."""

    name: str
    stated_wh: tuple[int, int] | None
    marks: tuple[Mark, ...]
    others: tuple[Rejected | PassedOver, ...]


def parse_picture(data: bytes, uri: str, source: Source, corners: Corners, *, difficult: bool) -> Picture:
    """One XML file. Without `difficult`, objects that are marked so are left out. Raises `ValueError` if it is none."""
    tree = parse_xml(data)
    if tree.tag != "annotation":
        raise ValueError(f"its root is <{tree.tag}>, expected <annotation>")
    pixels = corners == "pixels" or (not corners and _of_the_challenge(tree))
    wh = wh_of(text_of(tree, "size/width"), text_of(tree, "size/height"))
    marks: list[Mark] = []
    others: list[Rejected | PassedOver] = []
    for index, found in enumerate(tree.iterfind("object")):
        for one in _object(found, f"{uri}#object[{index}]", source, pixels, difficult):
            if isinstance(one, Mark):
                marks.append(one)
            else:
                others.append(one)
    name = text_of(tree, "filename") or posixpath.basename(text_of(tree, "path").replace("\\", "/"))
    return Picture(name, wh, tuple(marks), tuple(others))


def _of_the_challenge(tree: Element) -> bool:
    """Whether a file is one of the releases, which name themselves `The VOC2007 Database`, or of supervision.

    supervision writes `roboflow.ai` with the folder `VOC`, and adds 1 to what is left and top; Roboflow does not.
    """
    database = text_of(tree, "source/database").lower()
    return database.startswith("the voc") or (database == "roboflow.ai" and text_of(tree, "folder") == "VOC")


def _object(
    found: Element, uri: str, source: Source, pixels: bool, difficult: bool
) -> Iterator[Mark | Rejected | PassedOver]:
    """The mark of an object and those of its parts, and what of it no region has."""
    name = clean_text(text_of(found, "name"))
    if text_of(found, "deleted") == "1":
        yield PassedOver(uri=uri, reason="deleted", what="annotation")
        return
    if _is_set(found, "difficult") and not difficult:
        yield PassedOver(uri=uri, reason="difficult", what="annotation")
        return
    yield _mark(found, uri, name, source, pixels)
    for index, part in enumerate(found.iterfind("part")):
        yield _mark(part, f"{uri}/part[{index}]", clean_text(text_of(part, "name")), source, pixels)
    flags = [flag for flag in FLAGS if _is_set(found, flag)]
    if text_of(found, "pose") not in ("", "Unspecified"):
        flags.append("pose")
    actions = [f"actions/{one.tag}" for one in found.iterfind("actions/*")]
    own = [f"attributes/{text_of(one, 'name')}" for one in found.iterfind("attributes/attribute")]
    others = [one.tag for one in found if one.tag not in FIELDS or one.tag == "point"]
    for flag in (*flags, *actions, *own, *others):
        yield PassedOver(uri=uri, reason="not_kept", detail=flag, what="annotation")


def _mark(found: Element, uri: str, name: str, source: Source, pixels: bool) -> Mark | Rejected:
    """Where an object is, or why that is not read."""
    if found.find("robndbox") is not None:
        detail = "robndbox, a box that is turned: save it as a polygon, or as the box around it"
        return Rejected(uri=uri, reason="box_rotated", detail=detail, what="annotation")
    if not name:
        return Rejected(uri=uri, reason="no_class", detail="its name is empty", what="annotation")
    record: dict[str, Any] = {}
    try:
        box, outline = found.find("bndbox"), found.find("polygon")
        if box is not None:
            x1, y1, x2, y2 = (finite(text_of(box, side)) for side in ("xmin", "ymin", "xmax", "ymax"))
            record["bbox"] = xywh_of((x1 - 1, y1 - 1, x2, y2) if pixels else (x1, y1, x2, y2))
        if outline is not None:
            # the middle of pixel 1 is half a pixel from the edge
            record["segmentation"] = [[value - 0.5 if pixels else value for value in _corners(outline)]]
            if text_of(found, "type") == "bounding_box":
                record = _box_of(record)
    except ValueError as error:
        return Rejected(uri=uri, reason="box_malformed", detail=f"{name!r}: {error}", what="annotation")
    if not record:
        detail = f"{name!r} has none of {', '.join(FORMS)}"
        return Rejected(uri=uri, reason="form_not_read", detail=detail, what="annotation")
    return Mark(uri, name, record, source)


def _box_of(record: dict[str, Any]) -> dict[str, Any]:
    """An outline that is said to be a box (LabelMe), as the box around it."""
    (points,) = record["segmentation"]
    return {"bbox": xywh_of((min(points[0::2]), min(points[1::2]), max(points[0::2]), max(points[1::2])))}


def _corners(outline: Element) -> list[float]:
    """`x1 y1 x2 y2 …` of Roboflow's `<x1>`, `<y1>` or of LabelMe's `<pt><x>`, `<pt><y>`. Raises `ValueError`."""
    points = outline.findall("pt")
    if points:
        return [finite(text_of(point, axis)) for point in points for axis in ("x", "y")]
    count = sum(1 for one in outline if one.tag.startswith("x"))
    return [finite(text_of(outline, f"{axis}{index}")) for index in range(1, count + 1) for axis in ("x", "y")]


def _is_set(found: Element, flag: str) -> bool:
    return text_of(found, flag).lower() in ("1", "true", "yes")
