"""Which boxes of two sets are the same thing: the one-to-one assignment of the highest total IoU."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fld_engine.engine.data.geometry import Bools, Floats, Ints, pairwise_iou
from fld_engine.schemas.names import name_key


class Matches(NamedTuple):
    """Row `a[i]` of the first set is row `b[i]` of the second, with IoU `iou[i]`; by rising `a`."""

    a: Ints
    b: Ints
    iou: Floats


def match_boxes(a_xyxy: Floats, b_xyxy: Floats, *, min_iou: float, same: Bools | None = None) -> Matches:
    """Match (n, 4) with (m, 4) boxes; pairs below `min_iou` are no candidates and never displace one that is.

    `same` (n, m) forbids pairs where it is False, such as those of different labels.
    """
    from scipy.optimize import linear_sum_assignment

    iou = pairwise_iou(a_xyxy.reshape(-1, 4), b_xyxy.reshape(-1, 4))
    allowed = iou >= min_iou
    if same is not None:
        allowed &= same
    # One whole match more outweighs any gain of overlap, so the assignment is largest first and tightest second.
    worth = np.where(allowed, 1.0 + iou / (min(iou.shape) + 1), 0.0)
    a, b = linear_sum_assignment(worth, maximize=True)
    chosen = allowed[a, b]
    return Matches(a[chosen].astype(np.int64), b[chosen].astype(np.int64), iou[a, b][chosen])


def same_labels(a: list[str], b: list[str]) -> Bools:
    """(n, m) whether two labels are one name, however they are written."""
    first, second = (np.array([name_key(label) for label in labels], dtype=object) for labels in (a, b))
    equal: Bools = first[:, None] == second[None, :]
    return equal.astype(np.bool_)
