from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.common.views import RED, View, around
from fld_engine.engine.data.images import RGB
from fld_engine.schemas.annotations import Box


def grey(width: int = 100, height: int = 80) -> RGB:
    return np.full((height, width, 3), 128, dtype=np.uint8)


def red(pixels: RGB) -> tuple[int, int, int, int]:
    """Extent of what is drawn: x1 y1 x2 y2."""
    ys, xs = np.nonzero((pixels == RED).all(axis=2))
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def test_a_whole_unmarked_view_copies_nothing() -> None:
    pixels = grey()
    assert View().of(pixels) is pixels


def test_boxes_are_outlined_and_not_covered() -> None:
    pixels = grey()
    shown = View(marks_xyxy=((20.0, 30.0, 60.0, 50.0), (70.0, 10.0, 80.0, 20.0))).of(pixels)
    assert red(shown) == (18, 8, 82, 52)  # 2 px outside of both boxes
    assert (shown[30:50, 20:60] == 128).all()
    assert (shown[10:20, 70:80] == 128).all()
    assert (pixels == 128).all()  # what others see is not drawn on


@pytest.mark.parametrize(
    ("box", "drawn"),
    [
        ((0.0, 0.0, 100.0, 80.0), (0, 0, 100, 80)),  # all of the image: its border
        ((90.0, 70.0, 100.0, 80.0), (88, 68, 100, 80)),  # a corner
        ((50.2, 40.2, 50.4, 40.4), (48, 38, 52, 42)),  # less than a pixel
    ],
)
def test_outlines_stay_inside(box: Box, drawn: tuple[int, int, int, int]) -> None:
    assert red(View(marks_xyxy=(box,)).of(grey())) == drawn


@pytest.mark.parametrize(
    ("box", "image_wh", "shape", "drawn"),
    [
        ((40.0, 40.0, 60.0, 50.0), (100, 80), (20, 40, 3), (8, 3, 32, 17)),  # half a side more on every side
        ((0.0, 0.0, 20.0, 20.0), (100, 80), (30, 30, 3), (0, 0, 22, 22)),  # as far as there is image
        ((0.0, 0.0, 1.0, 1.0), (1, 1), (1, 1, 3), (0, 0, 1, 1)),  # as little as there is
    ],
)
def test_a_region_is_shown_in_its_surroundings(
    box: Box, image_wh: tuple[int, int], shape: tuple[int, ...], drawn: tuple[int, int, int, int]
) -> None:
    shown = around(box, image_wh).of(grey(*image_wh))
    assert shown.shape == shape
    assert red(shown) == drawn
