"""labelme's json: shapes in pixels of the image as it is shown, and flags of the whole image."""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.regions.marks import Mark, record_of_bitmap
from fld_engine.engine.sources.regions.place import Record, short, xywh_of
from fld_engine.engine.sources.regions.rle import Bitmap
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import finite, wh_of
from fld_engine.schemas.annotations import Label, Source

FORMS = ("polygon", "rectangle", "mask")
"""Shapes that are read; circles, lines, points and turned rectangles are no region."""
MAX_MASK_PIXELS = 100_000_000
"""A mask that says it has more is not decoded."""


def parse_json(data: bytes) -> Record:
    """A file of one image. Raises `ValueError` where it is none of labelme's."""
    try:
        tree = json.loads(data)
    except RecursionError as error:
        raise ValueError("not JSON: it is nested too deeply") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("shapes"), list):
        raise ValueError("expected an object with 'shapes' and 'imagePath', as labelme writes")
    return tree


def stated_wh(tree: Record) -> tuple[int, int] | None:
    """The size of the image, `None` where it is not stated."""
    return wh_of(tree.get("imageWidth"), tree.get("imageHeight"))


def parse_shapes(tree: Record, uri: str, source: Source) -> Iterator[Mark | Label | Rejected | PassedOver]:
    """What is said of an image: flags that are set as classes, shapes as marks.

    Polygons of one label and `group_id` are parts of one thing.
    """
    flags = tree.get("flags")
    for flag, is_set in flags.items() if isinstance(flags, dict) else ():
        if is_set and clean_text(flag):
            yield Label(label=clean_text(flag), score=1.0, source=source)
    groups: dict[tuple[str, Any], Mark] = {}
    for index, shape in enumerate(tree["shapes"]):
        for one in _shape(shape, f"{uri}/shape[{index}]", source):
            key = (one.what, shape.get("group_id")) if isinstance(one, Mark) and "bbox" not in one.record else None
            if not isinstance(one, Mark) or key is None or key[1] is None:
                yield one
            elif key in groups:
                groups[key].record["segmentation"].extend(one.record["segmentation"])
            else:
                groups[key] = one
    yield from groups.values()


def _shape(shape: Any, uri: str, source: Source) -> Iterator[Mark | Rejected | PassedOver]:
    if not isinstance(shape, dict):
        yield Rejected(uri=uri, reason="bad_record", detail=f"{short(shape)} is no object", what="annotation")
        return
    name, form = clean_text(str(shape.get("label") or "")), shape.get("shape_type") or "polygon"
    if form not in FORMS:
        yield PassedOver(uri=uri, reason="form_not_read", detail=f"shape_type {short(form)}", what="annotation")
        return
    if not name:
        yield Rejected(uri=uri, reason="no_class", detail="its label is empty", what="annotation")
        return
    try:
        record = _record(form, shape)
    except (ValueError, TypeError, OSError) as error:
        detail = f"{form} of {name!r}: {error}"
        yield Rejected(uri=uri, reason="box_malformed", detail=detail, what="annotation")
        return
    others = [key for key in ("description", "flags") if shape.get(key)]
    if form != "polygon" and shape.get("group_id") is not None:
        others.append("group_id")
    for key in others:
        yield PassedOver(uri=uri, reason="not_kept", detail=key, what="annotation")
    yield Mark(uri, name, record, source)


def _record(form: str, shape: Record) -> dict[str, Any]:
    """COCO's fields of a shape. Raises `ValueError`, `TypeError`, `OSError`."""
    points = [(finite(x), finite(y)) for x, y in shape["points"]] if "points" in shape else []
    if form == "polygon":
        return {"segmentation": [[value for point in points for value in point]]}
    if len(points) < 2:
        raise ValueError(f"{len(points)} points; a {form} has two")
    xs, ys = [x for x, _ in points], [y for _, y in points]
    box = {"bbox": xywh_of((min(xs), min(ys), max(xs), max(ys)))}
    return box if form == "rectangle" else record_of_bitmap(_bitmap(shape.get("mask")), (min(xs), min(ys)))


def _bitmap(encoded: Any) -> Bitmap:
    """A mask, which is a PNG as base64. Raises `ValueError`, `OSError`."""
    if not isinstance(encoded, str):
        raise ValueError("it has no mask")
    try:
        with Image.open(io.BytesIO(base64.b64decode(encoded, validate=True)), formats=["PNG"]) as image:
            if image.width * image.height > MAX_MASK_PIXELS:
                raise ValueError(f"a mask of {image.size} pixels")
            bitmap: Bitmap = (np.asarray(image.convert("L")) > 0).astype(np.uint8)
    except (binascii.Error, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"its mask is no PNG: {error}") from error
    return bitmap
