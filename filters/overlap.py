"""Which boxes of a group overlap, and how much: all groups at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from fld_engine.engine.data.geometry import Floats, Ints, areas

PAIRS_AT_ONCE = 1 << 20
"""Pairs that are in memory together (about 150 MB); a larger group is still done whole."""


class Overlaps(NamedTuple):
    """Every ordered pair of different rows `a`, `b` of one group whose boxes overlap, with their IoU; equal lengths."""

    a: Ints
    b: Ints
    iou: Floats


def overlaps(boxes_xyxy: Floats, groups: Ints, *, pairs_at_once: int = PAIRS_AT_ONCE) -> Overlaps:
    """Overlapping pairs of (n, 4) boxes within groups, which are numbered from 0."""
    found = [Overlaps(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0))]
    for a, b in _pairs(groups, pairs_at_once):
        iou = paired_iou(boxes_xyxy[a], boxes_xyxy[b])
        touch = (iou > 0) & (a != b)
        found.append(Overlaps(a[touch], b[touch], iou[touch]))
    return Overlaps(*(np.concatenate(column) for column in zip(*found, strict=True)))


def highest(pairs: Overlaps, num_rows: int) -> Floats:
    """(num_rows,) the highest IoU of each row `a` over its pairs; 0 where it has none."""
    best = np.zeros(num_rows, dtype=np.float64)
    np.maximum.at(best, pairs.a, pairs.iou)
    return best


def paired_iou(a_xyxy: Floats, b_xyxy: Floats) -> Floats:
    """(n,) IoU of each of (n, 4) boxes with its partner; to the bit as `engine.data.geometry.pairwise_iou` has it."""
    sides = np.minimum(a_xyxy[:, 2:], b_xyxy[:, 2:]) - np.maximum(a_xyxy[:, :2], b_xyxy[:, :2])
    sides = np.clip(sides, 0.0, None)
    intersection = sides[:, 0] * sides[:, 1]
    union = areas(a_xyxy) + areas(b_xyxy) - intersection
    iou: Floats = np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)
    return iou


def _pairs(groups: Ints, pairs_at_once: int) -> Iterator[tuple[Ints, Ints]]:
    """All ordered pairs of rows of the same group, group after group, in blocks."""
    order = np.argsort(groups, kind="stable")
    order = order[np.bincount(groups)[groups[order]] > 1] if len(groups) else order
    _, first, size = np.unique(groups[order], return_index=True, return_counts=True)
    block = np.cumsum(size**2) // pairs_at_once
    for number in np.unique(block):
        mine = block == number
        sizes = np.repeat(size[mine], size[mine])  # of the group of each row
        firsts = np.repeat(first[mine], size[mine])
        rows = np.arange(firsts[0], firsts[0] + len(firsts))
        nth = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield order[np.repeat(rows, sizes)], order[np.repeat(firsts, sizes) + nth]
