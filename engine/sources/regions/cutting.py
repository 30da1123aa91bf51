"""What of an outline is visible: its part within the frame of the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

from fld_engine.engine.data.geometry import polygon_area


def cut_to_frame(polygon: Sequence[float], image_wh: tuple[int, int]) -> list[list[float]]:
    """The parts of a polygon `[x1 y1 x2 y2 …]` within an image of `image_wh` pixels; none where nothing is left.

    One that stays inside keeps its corners as they are. A hole, which no polygon can have, becomes a seam between two.
    """
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    if (points >= 0).all() and (points <= image_wh).all():
        parts = [points]
    else:
        whole = shapely.make_valid(shapely.Polygon(points))
        visible = shapely.intersection(whole, shapely.box(0, 0, *image_wh))
        parts = [shapely.get_coordinates(part.exterior)[:-1] for part in _without_holes(visible)]
    rounded = [[round(float(value), 2) for value in part.reshape(-1)] for part in parts]
    return [part for part in rounded if polygon_area(part) != 0]


def _without_holes(shape: BaseGeometry) -> Iterator[shapely.Polygon]:
    """The polygons of a shape, cut in two through each hole; lines and points enclose nothing."""
    for part in shapely.get_parts(shape):
        if isinstance(part, shapely.Polygon) and part.interiors:
            x1, y1, x2, y2 = part.bounds
            middle = part.interiors[0].centroid.x
            for half in (shapely.box(x1, y1, middle, y2), shapely.box(middle, y1, x2, y2)):
                yield from _without_holes(shapely.intersection(part, half))
        elif isinstance(part, shapely.Polygon):
            yield part
        elif shapely.get_num_geometries(part) > 1:
            yield from _without_holes(part)
