from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fld_engine.engine.data.geometry import (
    Floats,
    areas,
    clip_boxes,
    clockwise,
    from_top_left,
    nms_keep,
    pairwise_iou,
    polygon_area,
    quad_bounds,
)


@st.composite
def boxes(draw: st.DrawFn, max_size: int = 12) -> Floats:
    """(n, 4) boxes of whole pixels in a small frame, so that overlaps and ties are common."""
    number = draw(st.integers(0, max_size))
    corners = draw(arrays(np.int64, (number, 2), elements=st.integers(0, 20)))
    sides = draw(arrays(np.int64, (number, 2), elements=st.integers(1, 12)))
    return np.hstack([corners, corners + sides]).astype(np.float64)


@st.composite
def detections(draw: st.DrawFn) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """Boxes with scores, some of them equal, in up to three groups."""
    found = draw(boxes())
    scores = draw(arrays(np.float64, len(found), elements=st.sampled_from([0.1, 0.5, 0.5001, 0.9])))
    groups = draw(arrays(np.int64, len(found), elements=st.integers(0, 2)))
    return found, scores, groups


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1.0),  # the same box
        ((5, 0, 15, 10), 50 / 150),  # shifted by half
        ((2, 2, 4, 4), 4 / 100),  # inside
        ((10, 0, 20, 10), 0.0),  # touching
        ((20, 20, 30, 30), 0.0),  # apart
    ],
)
def test_iou_by_hand(other: tuple[float, ...], expected: float) -> None:
    box = np.array([[0, 0, 10, 10]], dtype=np.float64)
    assert pairwise_iou(box, np.array([other], dtype=np.float64)).item() == pytest.approx(expected)


def test_iou_of_boxes_without_area_is_zero_not_nan() -> None:
    point = np.array([[3.0, 3.0, 3.0, 3.0]])
    assert pairwise_iou(point, point).item() == 0.0


_PIXELS = st.floats(0, 2000).map(lambda value: round(value, 2))  # stored boxes have two decimals


@st.composite
def stored_boxes(draw: st.DrawFn) -> Floats:
    """(n, 4) boxes as annotators write them; the same few corners come back, so that boxes share sides and nest."""
    corners = st.sampled_from(draw(st.lists(_PIXELS, min_size=3, max_size=6, unique=True)))
    pair = st.tuples(corners, corners).filter(lambda ends: ends[0] < ends[1])
    found = draw(st.lists(st.tuples(pair, pair), max_size=8))
    return np.array([(x1, y1, x2, y2) for (x1, x2), (y1, y2) in found], dtype=np.float64).reshape(-1, 4)


@given(boxes() | stored_boxes(), boxes() | stored_boxes())
def test_iou_is_symmetric_and_between_0_and_1(a: Floats, b: Floats) -> None:
    iou = pairwise_iou(a, b)
    assert iou.shape == (len(a), len(b))
    assert ((iou >= 0) & (iou <= 1)).all()
    assert np.array_equal(iou, pairwise_iou(b, a).T)
    assert (np.diag(pairwise_iou(a, a)) == 1.0).all()


@given(detections(), st.sampled_from([0.2, 0.5, 0.8, 1.0]))
def test_nms_leaves_no_overlap_within_a_group_and_loses_nothing_uncovered(
    found: tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]], bound: float
) -> None:
    xyxy, scores, groups = found
    keep = nms_keep(xyxy, scores, groups, bound)
    overlapping = (pairwise_iou(xyxy, xyxy) > bound) & (groups[:, None] == groups[None, :])
    np.fill_diagonal(overlapping, False)
    assert not overlapping[np.ix_(keep, keep)].any()
    for row in np.flatnonzero(~keep):  # every dropped box lies on a kept one that is at least as good
        assert (overlapping[row] & keep & (scores >= scores[row])).any()


@given(detections(), st.sampled_from([0.2, 0.5, 0.8]))
def test_nms_again_changes_nothing_and_the_best_of_a_group_stays(
    found: tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]], bound: float
) -> None:
    xyxy, scores, groups = found
    keep = nms_keep(xyxy, scores, groups, bound)
    assert nms_keep(xyxy[keep], scores[keep], groups[keep], bound).all()
    for group in np.unique(groups):
        mine = groups == group
        assert scores[mine & keep].max() == scores[mine].max()


def test_nms_prefers_the_earlier_row_among_equals() -> None:
    """Otherwise two runs of the same data could keep different boxes."""
    same = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], dtype=np.float64)
    assert nms_keep(same, np.array([0.5, 0.5]), np.array([0, 0]), 0.5).tolist() == [True, False]


@given(boxes())
def test_clipped_boxes_lie_in_the_frame_and_boxes_in_it_stay(found: Floats) -> None:
    clipped = clip_boxes(found, (15, 10))
    assert (clipped >= 0).all()
    assert (clipped[:, [0, 2]] <= 15).all()
    assert (clipped[:, [1, 3]] <= 10).all()
    inside = (found[:, 2] <= 15) & (found[:, 3] <= 10)
    assert np.array_equal(clipped[inside], found[inside])
    assert (areas(clipped) <= areas(found)).all()


def test_clockwise_is_as_seen_on_screen() -> None:
    right_then_down = (0, 0, 4, 0, 4, 3, 0, 3)  # y points down: this goes with the clock
    assert polygon_area(right_then_down) == 12
    down_then_right = (0, 0, 0, 3, 4, 3, 4, 0)
    assert polygon_area(down_then_right) == -12
    assert polygon_area(clockwise(down_then_right)) == 12
    assert clockwise(right_then_down) == right_then_down


_POLYGONS = st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), min_size=3, max_size=9)


@given(_POLYGONS)
def test_clockwise_keeps_the_area_and_the_vertices(points: list[tuple[int, int]]) -> None:
    """Whole numbers, so that areas are exact."""
    polygon = [float(value) for point in points for value in point]
    turned = clockwise(polygon)
    assert polygon_area(turned) == abs(polygon_area(polygon))
    assert sorted(zip(turned[::2], turned[1::2], strict=True)) == sorted(points)
    assert clockwise(turned) == turned


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("way", [1, -1])
def test_a_quadrilateral_begins_at_the_top_left_wherever_it_was_begun(first: int, way: int) -> None:
    corners = [(10, 2), (90, 8), (88, 30), (8, 24)]
    begun = (corners[first:] + corners[:first])[::way]
    assert from_top_left([value for corner in begun for value in corner]) == (10, 2, 90, 8, 88, 30, 8, 24)


def test_bounds_of_a_slanted_quadrilateral() -> None:
    assert quad_bounds((5, 0, 10, 4, 6, 9, 1, 5)) == (1, 0, 10, 9)
