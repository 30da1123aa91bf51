"""The thresholds of a merge, and the small rules that decide on one label each."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.identity import Fields
from fld_engine.schemas.annotations import Frozen

SUPPORTED = "matched by the student"
UNSUPPORTED = "unsupported: neither found nor scored likely by the student"
MORE_LIKELY = "another label is more likely"
BETTER_BOX = "fused with the student's box"
ADMITTED = "found by the student above the precision target"
MORE_CONSISTENT = "fits the image and its regions better"


class MergeRules(Frozen):
    """When a label of the last round and the student's count as the same, and which of them stands.

    Probabilities are calibrated ones (`merge.calibration`): 0.8 means that four of five such labels are right.
    `match_iou` is the usual bound of detection metrics; GranD's cross-model merge takes 0.65 (arXiv 2311.03356).
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=(
            "match_iou", "jitter_iou", "admit_precision", "drop_below", "relabel_margin", "settled_iou", "move_margin",
            "duplicate_iou", "rewrite_margin",
        ),
    )  # fmt: skip

    match_iou: float = Field(default=0.5, gt=0, le=1)
    jitter_iou: float = Field(default=0.2, gt=0, le=1)
    """A label and a sighting of the same name that are left over and overlap by this are one thing, badly placed."""
    admit_precision: float | None = Field(default=0.5, ge=0, le=1)
    """A box that only the student sees is added where it is right at least so often; None: never."""
    drop_below: float | None = Field(default=0.25, ge=0, le=1)
    """A label that the student does not find is removed where place and name, the likelier of two, are right less often
    than this; None: never."""
    relabel_margin: float = Field(default=0.1, ge=0, le=1)
    """Another label stands where it is more likely by at least this."""
    settled_iou: float = Field(default=0.5, ge=0, le=1)
    """Boxes that agree at least so well are not moved: a small student's is as often the worse one. 0.9 suits a student
    whose boxes are tighter than the specialists'."""
    move_margin: float = Field(default=0.0, ge=0, le=1)
    """A box is moved where the student's is more likely by at least this."""
    duplicate_iou: float = Field(default=0.5, gt=0, le=1)
    """A new box that overlaps a label by this is that label again."""
    rewrite_margin: float = Field(default=0.3, ge=0)
    """Another text stands where it fits better by at least this. A student's text and its regions share its errors, and
    fit each other too well: on the benchmark's cut-outs 0.1 spoils two right captions for three wrong ones that it puts
    right, 0.3 spoils one for four."""


def fuse_boxes(a_xyxy: Floats, b_xyxy: Floats, weight_a: Floats, weight_b: Floats) -> Floats:
    """(n, 4) mean boxes of matched pairs, weighted by (n,) probabilities; equal weights where both are 0.

    The two-model case of weighted box fusion (Solovyev et al. 2021, arXiv 1910.13302). Rounded to 0.01 px.
    """
    total = weight_a + weight_b
    share = np.divide(weight_a, total, out=np.full_like(total, 0.5), where=total > 0)[:, None]
    fused: Floats = np.round(share * a_xyxy + (1 - share) * b_xyxy, 2)
    return fused


def should_move(iou: float, p_old: float, p_new: float, rules: MergeRules) -> bool:
    """Whether a matched label gets the fused box."""
    return iou < rules.settled_iou and p_new - p_old >= rules.move_margin


def should_relabel(p_old: float, p_other: float, rules: MergeRules) -> bool:
    """Whether the other label stands."""
    return p_other - p_old >= rules.relabel_margin


def should_drop(p_old: float, rules: MergeRules) -> bool:
    """Whether a label that the student did not find is removed; `p_old` is that of place and name together."""
    return rules.drop_below is not None and p_old < rules.drop_below


def should_admit(p_new: float, rules: MergeRules) -> bool:
    """Whether a box that only the student found becomes a label; `p_new` is that of place and name together."""
    return rules.admit_precision is not None and p_new >= rules.admit_precision


def should_rewrite(old_fit: float, new_fit: float, rules: MergeRules) -> bool:
    """Whether the student's text replaces the old one."""
    return new_fit - old_fit >= rules.rewrite_margin
