"""Spatial coverage of a partition: area, aspect, centres, number, size, overlap and mask fill of boxes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.class_keys import class_keys
from fld_engine.engine.data.columns import boxes_xyxy, codes, floats, positions
from fld_engine.engine.data.geometry import Bools, Floats, Ints, areas, mask_area, pairwise_iou
from fld_engine.engine.data.kept_rows import box_families
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.stages.coverage.boxes import AREA_EDGES, ASPECT_EDGES, count_boxes
from fld_engine.engine.stages.report.bins import IOU_BINS, iou_bins
from fld_engine.engine.stages.report.tables import count_rows

SIZES = ("small", "medium", "large")
SIZE_BOUNDS = (32.0**2, 96.0**2)
"""COCO's size classes: areas in square pixels (cocodataset.org/#detection-eval)."""
SHAPES = ("area", "aspect", "centres", "per_image")
CLASS_GRID_SIDE = 8
"""Cells along a side of the grid for centres of one class; that of a family has more boxes to fill finer ones."""
NO_MASK = -1

Rows = list[tuple[object, ...]]


def spatial_counts(kept: Mapping[str, pa.Table], masks: pa.Table) -> Rows:
    """Rows of `COUNTS` for each family, and for each specialist of it."""
    rows: Rows = []
    for family, boxes in box_families(kept):
        for by in ("", *pc.unique(boxes["annotator"]).to_pylist()):
            mine = boxes.filter(pc.equal(boxes["annotator"], by)) if by else boxes
            if mine.num_rows or not by:
                rows += _of_boxes(family, by, mine, kept["images"], masks)
    return rows


def class_rows(kept: Mapping[str, pa.Table], masks: pa.Table) -> pa.Table:
    """One row for every kept object region: source, term (its class), image_id, size (0 small, 1 medium, 2 large).

    `class_area` and `class_aspect` are bins in the edges of `engine.stages.coverage.boxes`, `class_centre` a cell of a
    grid of `CLASS_GRID_SIDE`, `class_overlap` (with any other region) and `class_fill` twentieths; `NO_MASK` without a
    mask.
    """
    regions = next(boxes for family, boxes in box_families(kept) if family == "region-text")
    image = positions(regions["image_id"], kept["images"]["id"])
    source = kept["images"]["source"].combine_chunks().take(pa.array(image))
    names = class_keys(region_classes(regions, kept["region_texts"]))
    boxes, images = boxes_xyxy(regions), kept["images"]
    image_wh = np.stack([floats(images, "width"), floats(images, "height")], axis=1)[image]
    sides = boxes[:, 2:] - boxes[:, :2]
    cells = np.floor((boxes[:, :2] + boxes[:, 2:]) / 2 / image_wh * CLASS_GRID_SIDE).clip(0, CLASS_GRID_SIDE - 1)
    place, fills = _fills(regions, boxes, masks)
    filled = np.full(len(boxes), NO_MASK, dtype=np.int64)
    filled[place] = iou_bins(fills)
    columns = {
        "size": size_classes(boxes),
        "class_area": _bins(areas(boxes) / (image_wh[:, 0] * image_wh[:, 1]), AREA_EDGES),
        "class_aspect": _bins(sides[:, 0] / sides[:, 1], ASPECT_EDGES),
        "class_centre": (cells[:, 1] * CLASS_GRID_SIDE + cells[:, 0]).astype(np.int64),
        "class_overlap": iou_bins(neighbours(boxes, codes(regions["image_id"]))) if len(boxes) else [],
        "class_fill": filled,
    }
    table = pa.table({"source": source, "term": names, "image_id": regions["image_id"], **columns})
    return table.filter(pc.not_equal(table["term"], ""))


def _bins(values: Floats, edges: Floats) -> Ints:
    """(n,) bin of each value; what lies outside the edges is in the outer bins, as in the coverage."""
    return np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2).astype(np.int64)


def size_classes(boxes: Floats) -> Ints:
    """(n,) 0 for small, 1 for medium, 2 for large boxes."""
    return np.searchsorted(np.array(SIZE_BOUNDS), areas(boxes), side="right").astype(np.int64)


def neighbours(boxes: Floats, groups: Ints) -> Floats:
    """(n,) highest IoU of each box with another of its group; 0 where it is alone."""
    highest = np.zeros(len(boxes), dtype=np.float64)
    order = np.argsort(groups, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        if len(part) > 1:
            iou = pairwise_iou(boxes[part], boxes[part])
            np.fill_diagonal(iou, 0.0)
            highest[part] = iou.max(axis=1)
    return highest


def _of_boxes(family: str, by: str, table: pa.Table, images: pa.Table, masks: pa.Table) -> Rows:
    shapes, boxes = count_boxes(table, images), boxes_xyxy(table)
    rows: Rows = []
    for shape in SHAPES:
        rows += count_rows(shape, family, by, "", getattr(shapes, shape))
    sizes = np.bincount(size_classes(boxes), minlength=len(SIZES))
    rows += [("size", family, by, name, 0, int(n)) for name, n in zip(SIZES, sizes, strict=True) if n]
    if len(boxes):
        overlap = neighbours(boxes, codes(table["image_id"]))
        rows += count_rows("overlap", family, by, "", _histogram(overlap))
    rows += count_rows("mask_fill", family, by, "", _histogram(_fills(table, boxes, masks)[1]))
    return rows


def _fills(table: pa.Table, boxes: Floats, masks: pa.Table) -> tuple[Ints, Floats]:
    """Rows of the boxes that have a mask, and the share of its box that each covers.

    Of several masks of a box the best counts, as in an export.
    """
    masks = masks.sort_by([("score", "descending"), ("id", "ascending")])
    first = positions(masks["subject_id"], masks["subject_id"]) == np.arange(masks.num_rows)
    masks = masks.filter(pa.array(first))
    place = positions(masks["subject_id"], table["id"])
    mine: Bools = place >= 0
    covered = [mask_area(polygons) for polygons in masks["polygons"].filter(pa.array(mine)).to_pylist()]
    return place[mine], np.array(covered, dtype=np.float64) / np.maximum(areas(boxes)[place[mine]], 1e-9)


def _histogram(shares: Floats) -> list[int]:
    found: list[int] = np.bincount(iou_bins(shares), minlength=IOU_BINS).tolist()
    return found
