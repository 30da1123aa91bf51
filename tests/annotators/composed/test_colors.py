"""A color is named only where it is plain to see."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.composed.colors import dominant_color, is_colorless
from fld_engine.engine.data.images import RGB
from tests.annotators.photographs import photograph


def plain(rgb: tuple[int, int, int], height: int = 20, width: int = 30) -> RGB:
    return np.full((height, width, 3), rgb, dtype=np.uint8)


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((10, 10, 12), "black"),
        ((250, 250, 250), "white"),
        ((128, 128, 128), "gray"),
        ((200, 20, 20), "red"),
        ((200, 20, 40), "red"),  # hue just below 360 degrees
        ((255, 140, 0), "orange"),
        ((101, 67, 33), "brown"),
        ((240, 220, 30), "yellow"),
        ((30, 150, 40), "green"),
        ((30, 60, 200), "blue"),
        ((120, 30, 200), "purple"),
        ((255, 105, 180), "pink"),
    ],
)
def test_plain_colors_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    color = dominant_color(plain(rgb), 0.5)
    assert color is not None
    assert color == (name, 1.0)


def test_no_color_is_named_where_none_prevails() -> None:
    stripes = np.concatenate(
        [plain(rgb, width=4) for rgb in ((200, 20, 20), (30, 150, 40), (30, 60, 200))] * 10, axis=1
    )
    assert dominant_color(stripes, 0.5) is None


def test_the_rim_of_a_box_does_not_count() -> None:
    crop = plain((30, 150, 40), 100, 100)
    crop[20:80, 20:80] = (200, 20, 20)
    color = dominant_color(crop, 0.9)
    assert color is not None
    assert color.name == "red"


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 3)])
def test_tiny_crops_have_a_color(shape: tuple[int, int]) -> None:
    assert dominant_color(plain((200, 20, 20), *shape), 0.5) == ("red", 1.0)


def test_black_and_white_photographs_have_no_colors() -> None:
    assert is_colorless(photograph("camera.png"))
    assert not is_colorless(photograph("chelsea.png"))
