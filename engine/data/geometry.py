"""Boxes and polygons as columns: pure functions on arrays of shape (n, 4), pixels, x1 y1 x2 y2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def areas(boxes_xyxy: Floats) -> Floats:
    """Areas in square pixels of (n, 4) boxes."""
    return (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])


def pairwise_iou(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """Intersection over union of (n, 4) with (m, 4) boxes: (n, m) in [0, 1]; 0 where both areas are 0."""
    top_left = np.maximum(a_xyxy[:, None, :2], b_xyxy[None, :, :2])
    bottom_right = np.minimum(a_xyxy[:, None, 2:], b_xyxy[None, :, 2:])
    sides = np.clip(bottom_right - top_left, 0.0, None)
    intersection = sides[..., 0] * sides[..., 1]
    union = areas(a_xyxy)[:, None] + areas(b_xyxy)[None, :] - intersection
    iou: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou


def nms_keep(boxes_xyxy: Floats, scores: Floats, groups: Ints, iou: float) -> Bools:
    """Greedy non-maximum suppression within groups (class-aware where a group is an image and a class).

    Boxes are visited by falling score, ties by row order; one that overlaps an already kept box of its group by more
    than `iou` is dropped. Returns a (n,) mask in row order.
    """
    keep = np.zeros(len(scores), dtype=bool)
    order = np.lexsort((np.arange(len(scores)), -scores, groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=np.nan))
    for rows in np.split(order, starts[1:]) if len(order) else []:
        overlaps = pairwise_iou(boxes_xyxy[rows], boxes_xyxy[rows]) > iou
        alive = np.ones(len(rows), dtype=bool)
        for i in range(len(rows)):
            if alive[i]:
                keep[rows[i]] = True
                alive &= ~overlaps[i]
    return keep


def clip_boxes(boxes_xyxy: Floats, image_wh: tuple[int, int]) -> Floats:
    """Boxes cut to the frame of an image `image_wh` = (width, height) pixels."""
    width, height = image_wh
    return np.clip(boxes_xyxy, 0.0, np.array([width, height, width, height], dtype=np.float64))


def polygon_area(polygon: Sequence[float]) -> float:
    """Signed shoelace area of `[x1 y1 x2 y2 …]`; positive is clockwise as seen on screen (y points down)."""
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)
    x, y = points[:, 0], points[:, 1]
    return float(0.5 * (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))))


def clockwise(polygon: Sequence[float]) -> tuple[float, ...]:
    """The same polygon with its vertices clockwise as seen on screen."""
    if polygon_area(polygon) >= 0:
        return tuple(polygon)
    points = np.asarray(polygon, dtype=np.float64).reshape(-1, 2)[::-1]
    return tuple(float(v) for v in points.reshape(-1))


def from_top_left(quad: Sequence[float]) -> tuple[float, ...]:
    """The same quadrilateral with its corners clockwise, from the one nearest to the top left of the image."""
    corners = np.array(clockwise(quad)).reshape(4, 2)
    first = int(np.lexsort((corners[:, 1], corners.sum(axis=1)))[0])
    return tuple(float(value) for value in np.roll(corners, -first, axis=0).reshape(-1))


def quad_bounds(quad: Sequence[float]) -> tuple[float, float, float, float]:
    """Smallest upright box around the corners of a quadrilateral or polygon."""
    points = np.asarray(quad, dtype=np.float64).reshape(-1, 2)
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def mask_area(polygons: Sequence[Any]) -> float:
    """Square pixels of COCO-style polygons that do not overlap."""
    return sum(abs(polygon_area(polygon)) for polygon in polygons)
