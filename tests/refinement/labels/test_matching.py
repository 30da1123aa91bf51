from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fld_engine.engine.data.geometry import Floats, pairwise_iou
from fld_engine.refinement.labels.matching import match_boxes, same_labels


@st.composite
def boxes(draw: st.DrawFn) -> Floats:
    number = draw(st.integers(0, 4))
    corners = draw(arrays(np.int64, (number, 2), elements=st.integers(0, 6)))
    sides = draw(arrays(np.int64, (number, 2), elements=st.integers(1, 6)))
    return np.hstack([corners, corners + sides]).astype(np.float64)


@settings(deadline=None)  # the first example imports scipy
@given(boxes(), boxes(), st.sampled_from([0.1, 0.5, 0.9]))
def test_no_other_assignment_matches_more(a: Floats, b: Floats, min_iou: float) -> None:
    """Checked against every assignment there is: most pairs first, then the highest sum of IoU."""
    found = match_boxes(a, b, min_iou=min_iou)
    assert len(set(found.a.tolist())) == len(set(found.b.tolist())) == len(found.a)
    assert all(iou >= min_iou for iou in found.iou)
    iou = pairwise_iou(a, b)
    if len(a) > len(b):
        iou = iou.T
    best = max(
        (
            (
                sum(iou[i, j] >= min_iou for i, j in enumerate(p)),
                sum(iou[i, j] for i, j in enumerate(p) if iou[i, j] >= min_iou),
            )
            for p in permutations(range(iou.shape[1]), iou.shape[0])
        ),
        default=(0, 0.0),
    )
    assert (len(found.a), found.iou.sum()) == (best[0], pytest.approx(best[1]))


def test_a_tight_pair_does_not_cost_another_match() -> None:
    """The greedy choice, the best pair first, would leave the second box alone."""
    a = np.array([[0.0, 0, 10, 10], [0.0, 0, 10, 7]])
    b = np.array([[0.0, 0, 10, 9], [0.0, 0, 10, 14]])  # a0-b0 0.9, a1-b0 0.78, a0-b1 0.71, a1-b1 0.5 too low
    found = match_boxes(a, b, min_iou=0.6)
    assert list(zip(found.a.tolist(), found.b.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_forbidden_pairs_are_not_matched() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    assert len(match_boxes(box, box, min_iou=0.5, same=same_labels(["cat"], ["dog"])).a) == 0
    assert len(match_boxes(box, box, min_iou=0.5, same=same_labels(["Cat "], ["cat"])).a) == 1
