"""What of an image a prompt shows: all of it or a part, with boxes drawn on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fld_engine.annotators.common.crops import crop
from fld_engine.engine.data.images import RGB
from fld_engine.schemas.annotations import Box

RED = (255, 0, 0)
STROKE_SHARE = 150
"""An outline is this share of the shorter side wide, and at least 2 px (ours)."""
CONTEXT = 0.5
"""Share of a box's sides shown on every side of it: what a thing is often shows in what is around it (ours)."""


@dataclass(frozen=True, slots=True)
class View:
    """The part of an image inside `crop_xyxy` (all of it: None), with the outlines of `marks_xyxy` in red.

    Both are pixels of the whole image. Equal views of one image have equal pixels.
    """

    crop_xyxy: Box | None = None
    marks_xyxy: tuple[Box, ...] = ()

    def of(self, pixels: RGB) -> RGB:
        """A (h, w, 3) array: `pixels` itself where all of it is shown unmarked."""
        shown = pixels if self.crop_xyxy is None else crop(pixels, self.crop_xyxy)
        if not self.marks_xyxy:
            return shown
        left, top = (0, 0) if self.crop_xyxy is None else (int(self.crop_xyxy[0]), int(self.crop_xyxy[1]))
        marked = shown.copy()
        for x1, y1, x2, y2 in self.marks_xyxy:
            _outline(marked, (round(x1) - left, round(y1) - top, round(x2) - left, round(y2) - top))
        return marked


def around(box_xyxy: Box, image_wh: tuple[int, int]) -> View:
    """A box marked in a crop with some context."""
    x1, y1, x2, y2 = box_xyxy
    width, height = image_wh
    dx, dy = (x2 - x1) * CONTEXT, (y2 - y1) * CONTEXT
    shown = (float(max(0, int(x1 - dx))), float(max(0, int(y1 - dy))), min(width, x2 + dx), min(height, y2 + dy))
    return View(crop_xyxy=shown, marks_xyxy=(box_xyxy,))


def _outline(pixels: RGB, box_xyxy: tuple[int, int, int, int]) -> None:
    """Draw the sides of a box into `pixels`, outside of it where there is room; in place."""
    height, width = pixels.shape[:2]
    stroke = max(2, round(min(height, width) / STROKE_SHARE))
    x1, y1, x2, y2 = box_xyxy
    x1, x2 = (min(max(0, x), width) for x in (x1 - stroke, x2 + stroke))
    y1, y2 = (min(max(0, y), height) for y in (y1 - stroke, y2 + stroke))
    inside = np.zeros((height, width), dtype=bool)
    inside[y1:y2, x1:x2] = True
    inside[y1 + stroke : y2 - stroke, x1 + stroke : x2 - stroke] = False
    pixels[inside] = RED
