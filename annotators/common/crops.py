"""The pixels of a sample, and crops of its regions for models that look at one region at a time."""

from __future__ import annotations

import math

from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Box


def pixels_of(sample: Sample) -> RGB:
    """The (height, width, 3) pixels of a sample whose annotator requires them."""
    assert sample.pixels is not None, "the engine gives pixels to an annotator that requires them"
    return sample.pixels


def crop(pixels: RGB, box_xyxy: Box) -> RGB:
    """The pixels that a box touches, at least one: a (h, w, 3) view of `pixels`."""
    height, width = pixels.shape[:2]
    x1, y1 = min(max(0, math.floor(box_xyxy[0])), width - 1), min(max(0, math.floor(box_xyxy[1])), height - 1)
    x2, y2 = max(x1 + 1, math.ceil(box_xyxy[2])), max(y1 + 1, math.ceil(box_xyxy[3]))
    return pixels[y1:y2, x1:x2]
