"""CVAT for images 1.1: one XML of all images of a task, with shapes in pixels of the image as it is shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.marks import Mark, corners_rotated, record_of_bitmap
from fld_engine.engine.sources.regions.place import xywh_of
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import finite, wh_of, whole
from fld_engine.engine.sources.xml import elements_of
from fld_engine.schemas.annotations import Label, Source

MACHINE = "cvat-auto"
"""Who drew what CVAT says was made by automatic annotation."""
FORMS = ("box", "polygon", "mask", "tag")
"""What is read; polylines, points, ellipses, skeletons and cuboids are no region."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A child of `<image>`: its name, its attributes, and how many attributes of the user's own it has."""

    form: str
    said: dict[str, str]
    num_attributes: int = 0


@dataclass(frozen=True, slots=True)
class Picture:
    """One `<image>`; `stated_wh` is `None` where it says no size."""

    name: str
    stated_wh: tuple[int, int] | None
    shapes: tuple[Shape, ...] = field(default=())


def parse_pictures(stream: IO[bytes]) -> Iterator[Picture]:
    """Images of the file in order. Raises `ValueError` where it is no CVAT XML of images."""
    elements = elements_of(stream, "image")
    root = next(elements, None)
    if root is None or root.tag != "annotations":
        raise ValueError(f"its root is <{'' if root is None else root.tag}>, expected <annotations>")
    num_pictures = 0
    for found in elements:
        num_pictures += 1
        shapes = tuple(Shape(one.tag, dict(one.attrib), len(one.findall("attribute"))) for one in found)
        yield Picture(found.get("name", ""), wh_of(found.get("width"), found.get("height")), shapes)
    if not num_pictures:
        raise ValueError("it has no <image>: a task of video is exported as tracks; export it as 'CVAT for images 1.1'")


def parse_shapes(
    picture: Picture, uri: str, human: Source, machine: Source
) -> Iterator[Mark | Label | Rejected | PassedOver]:
    """What is said of one image; `uri` is that of the file."""
    for index, shape in enumerate(picture.shapes):
        yield from _shape(shape, f"{uri}/{picture.name}/{shape.form}[{index}]", human, machine)


def _shape(shape: Shape, uri: str, human: Source, machine: Source) -> Iterator[Mark | Label | Rejected | PassedOver]:
    name = clean_text(shape.said.get("label", ""))
    source = machine if shape.said.get("source") == "auto" else human
    by: Any = "web" if source is machine else "human"
    if shape.form not in FORMS:
        yield PassedOver(uri=uri, reason="form_not_read", detail=f"<{shape.form}>", what="annotation", by=by)
        return
    if not name:
        yield Rejected(uri=uri, reason="no_class", detail="its label is empty", what="annotation", by=by)
        return
    if shape.num_attributes:
        yield PassedOver(uri=uri, reason="not_kept", what="annotation", by=by, number=shape.num_attributes)
    if shape.said.get("occluded") == "1":
        yield PassedOver(uri=uri, reason="not_kept", detail="occluded", what="annotation", by=by)
    if shape.form == "tag":
        yield Label(label=name, score=1.0, source=source)
        return
    try:
        record, turned = _record(shape)
    except (KeyError, ValueError) as error:
        what = f"{shape.form} of {name!r}: {error}"
        yield Rejected(uri=uri, reason="box_malformed", detail=what, what="annotation", by=by)
        return
    if turned:
        yield PassedOver(uri=uri, reason="box_rotated_as_outline", detail=turned, what="annotation", by=by)
    yield Mark(uri, name, record, source)


def _record(shape: Shape) -> tuple[dict[str, Any], str]:
    """COCO's fields of a shape, and by how much it is turned. Raises `ValueError`, `KeyError`."""
    said = shape.said
    if shape.form == "polygon":
        return {"segmentation": [[finite(v) for point in said["points"].split(";") for v in point.split(",")]]}, ""
    if shape.form == "mask":
        return _mask(said), ""
    x1, y1, x2, y2 = (finite(said[side]) for side in ("xtl", "ytl", "xbr", "ybr"))
    degrees = finite(said.get("rotation", "0"))
    if degrees % 360 == 0:
        return {"bbox": xywh_of((x1, y1, x2, y2))}, ""
    outline = corners_rotated(((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1, y2 - y1), degrees)
    return {"segmentation": [outline]}, f"by {degrees} degrees"


def _mask(said: dict[str, str]) -> dict[str, Any]:
    """COCO's fields of run lengths of a part of the image, row by row, zeros first. Raises as `_record` does."""
    sides = [whole(said[side]) for side in ("left", "top", "width", "height")]
    counts = [whole(count) for count in said["rle"].split(",")]
    if None in sides or not all(count is not None and count >= 0 for count in counts):
        raise ValueError("run lengths or sides that are no whole numbers from 0 up")
    left, top, width, height = (int(side or 0) for side in sides)
    runs = np.array(counts, dtype=np.int64)
    if width < 1 or height < 1 or int(runs.sum()) != width * height:
        raise ValueError(f"run lengths add up to {runs.sum()}, the part of {width} by {height} pixels does not")
    part = np.repeat(np.arange(len(runs), dtype=np.uint8) & 1, runs).reshape(height, width)
    return record_of_bitmap(part, (left, top))
