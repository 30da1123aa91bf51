"""Thirds of a picture, as sentences name them."""

from __future__ import annotations

from typing import Literal

from fld_engine.schemas.annotations import Box

Side = Literal["left", "center", "right"]
Level = Literal["top", "middle", "bottom"]


def place(box: Box) -> tuple[Side, Level]:
    """The thirds of the picture that the centre of a box lies in; the box is in shares of the picture's sides."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side: Side = "left" if x < 1 / 3 else "right" if x > 2 / 3 else "center"
    level: Level = "top" if y < 1 / 3 else "bottom" if y > 2 / 3 else "middle"
    return side, level
