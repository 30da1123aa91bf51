"""A mask is what is visible of a thing: the pixels of its outline within the frame, no others."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fld_engine.engine.sources.regions.cutting import cut_to_frame

WH = (100, 80)


def inside(polygons: list[list[float]], xs: np.ndarray, ys: np.ndarray) -> np.ndarray:
    """Which points polygons hold: those from which a ray to the right crosses their sides an odd number of times."""
    held = np.zeros(xs.shape, dtype=bool)
    for polygon in polygons:
        points = np.asarray(polygon).reshape(-1, 2)
        for (x1, y1), (x2, y2) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if y1 != y2:
                crosses = ((y1 > ys) != (y2 > ys)) & (xs < x1 + (ys - y1) * (x2 - x1) / (y2 - y1))
                held ^= crosses
    return held


@pytest.mark.parametrize(
    ("polygon", "num_parts"),
    [
        pytest.param([10, 10, 90, 10, 50, 70], 1, id="inside"),
        pytest.param([-100, 50, 50, -100, 50, 50], 1, id="over the top left corner"),
        pytest.param([-50, -50, 150, -50, 150, 150, -50, 150], 1, id="around the frame"),
        pytest.param([20, 40, 60, -20, 70, 20, 80, -20, 90, 40], 1, id="two peaks above the frame"),
        pytest.param([10, -40, 30, 40, 50, -30, 70, 40, 90, -40], 2, id="two teeth in the frame"),
        pytest.param([-20, 10, 50, 60, 50, 10, -20, 60], 2, id="a bow tie"),
        pytest.param([50, 50, 50, 300, 150, 300], 1, id="a sliver at the bottom"),
        pytest.param([200, 10, 300, 10, 250, 70], 0, id="outside"),
        pytest.param([-10, 10, 50, 40, 110, 70], 0, id="a line"),
        pytest.param([-10, 0, 110, 0, 50, -50], 0, id="along the edge"),
    ],
)
def test_the_part_in_the_frame_is_kept(polygon: list[float], num_parts: int) -> None:
    parts = cut_to_frame(polygon, WH)
    assert len(parts) == num_parts
    check(polygon, parts)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(-60, 160), st.integers(-60, 140)), min_size=3, max_size=9, unique=True))
def test_any_outline_keeps_its_visible_pixels(points: list[tuple[int, int]]) -> None:
    """Of corners that go round their middle, so that no side crosses another."""
    x, y = np.mean(points, axis=0)
    points.sort(key=lambda point: math.atan2(point[1] - y, point[0] - x))
    polygon = [float(value) for point in points for value in point]
    check(polygon, cut_to_frame(polygon, WH))


def check(polygon: list[float], parts: list[list[float]]) -> None:
    """Within the frame the same points are held, but for those at a side, which is rounded to 0.01 px."""
    for part in parts:
        assert all(0 <= value <= WH[i % 2] for i, value in enumerate(part))
    xs, ys = (grid + 0.5 for grid in np.meshgrid(np.arange(WH[0], dtype=float), np.arange(WH[1], dtype=float)))
    wrong = inside([polygon], xs, ys) != inside(parts, xs, ys)
    assert wrong.sum() <= 0.01 * xs.size


def test_what_stays_inside_keeps_its_corners() -> None:
    assert cut_to_frame([10.123, 0.0, 100.0, 80.0, 5.0, 60.0], WH) == [[10.12, 0.0, 100.0, 80.0, 5.0, 60.0]]
