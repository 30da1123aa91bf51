"""Outlines of binary masks as polygons."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from fld_engine.engine.data.geometry import Bools, clockwise, polygon_area
from fld_engine.engine.data.outlines import outer_borders, simplified
from fld_engine.schemas.annotations import Box, Frozen


class PolygonParams(Frozen):
    """How a mask becomes polygons; all values are ours."""

    tolerance_px: float = Field(default=1.0, ge=0, description="how far a polygon may leave the pixel outline")
    min_part: float = Field(default=0.05, ge=0, le=1, description="parts below this share of the largest go")


def outlines(
    mask: Bools, origin_xy: tuple[int, int], bounds_xyxy: Box, params: PolygonParams
) -> tuple[tuple[float, ...], ...]:
    """Outlines of a (height, width) mask at `origin_xy` in image pixels, clockwise, largest first; holes are filled.

    An outline runs through the centres of the outermost pixels, and is clipped to the bounds. A mask without a part of
    1 px has none.
    """
    x1, y1, x2, y2 = bounds_xyxy
    found = []
    for border in outer_borders(mask):
        points = simplified(border, params.tolerance_px) + np.add(origin_xy, 0.5)
        outline = clockwise(np.clip(points, (x1, y1), (x2, y2)).reshape(-1).tolist())
        found.append((polygon_area(outline), outline))
    found.sort(reverse=True)
    smallest = max(params.min_part * found[0][0], 1.0) if found else 0.0  # below 1 px there is nothing to see
    return tuple(outline for area, outline in found if area >= smallest and len(outline) >= 6)
