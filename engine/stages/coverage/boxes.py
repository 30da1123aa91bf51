"""Distributions of boxes, as in Figure 5 of FLD-5B: area, aspect ratio, centres, and boxes per image.

Bins are half octaves. Their edges and everything compared with them come from additions, multiplications, divisions and
square roots, which IEEE 754 rounds the same on every machine; logarithms it does not.
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.columns import boxes_xyxy, floats, positions
from fld_engine.engine.data.geometry import Floats, Ints, areas
from fld_engine.schemas.annotations import Frozen

HEAT_MAP_SIDE = 32
MAX_PER_IMAGE = 50


def half_octaves(low: int, high: int) -> Floats:
    """Edges 2^low, 2^(low + 1/2), … 2^high."""
    edges = [math.ldexp(math.sqrt(2.0) if i % 2 else 1.0, i // 2) for i in range(2 * low, 2 * high + 1)]
    return np.array(edges, dtype=np.float64)


AREA_EDGES = half_octaves(-20, 0)
"""Box area as a share of the image's: from a single pixel of a megapixel to all of it."""
ASPECT_EDGES = half_octaves(-5, 5)
"""Width by height of a box."""


class BoxCounts(Frozen):
    """Histograms of boxes; what lies outside the edges is counted in the outer bins.

    `area` and `aspect` follow `AREA_EDGES` and `ASPECT_EDGES`. `centres` is a grid of 32 × 32 cells over the image, row
    by row from the top left. `per_image` counts images with 0, 1, … boxes, the last bin those with 50 or more.
    """

    boxes: int
    area: tuple[int, ...]
    aspect: tuple[int, ...]
    centres: tuple[int, ...]
    per_image: tuple[int, ...]


def count_boxes(boxes: pa.Table, images: pa.Table) -> BoxCounts:
    """Histograms of boxes on images. `boxes` has the columns image_id x1 y1 x2 y2, `images` id width height."""
    xyxy, image = boxes_xyxy(boxes), positions(boxes["image_id"], images["id"])
    image_wh = np.stack([floats(images, "width"), floats(images, "height")], axis=1)[image]
    sides = xyxy[:, 2:] - xyxy[:, :2]
    cells = ((xyxy[:, :2] + xyxy[:, 2:]) / (2.0 * image_wh) * HEAT_MAP_SIDE).astype(np.int64)
    column, row = np.clip(cells, 0, HEAT_MAP_SIDE - 1).T
    per_image = np.minimum(np.bincount(image, minlength=images.num_rows), MAX_PER_IMAGE)
    return BoxCounts(
        boxes=len(xyxy),
        area=_histogram(areas(xyxy) / (image_wh[:, 0] * image_wh[:, 1]), AREA_EDGES),
        aspect=_histogram(sides[:, 0] / sides[:, 1], ASPECT_EDGES),
        centres=_counts(row * HEAT_MAP_SIDE + column, HEAT_MAP_SIDE**2),
        per_image=_counts(per_image.astype(np.int64), MAX_PER_IMAGE + 1),
    )


def _histogram(values: Floats, edges: Floats) -> tuple[int, ...]:
    bins = np.searchsorted(edges, values, side="right") - 1
    return _counts(np.clip(bins, 0, len(edges) - 2).astype(np.int64), len(edges) - 1)


def _counts(bins: Ints, num_bins: int) -> tuple[int, ...]:
    return tuple(np.bincount(bins, minlength=num_bins).tolist())
