"""The dominant color of a crop by a rule on hue, saturation and value, where one color is clear."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fld_engine.annotators.common.resize import resized
from fld_engine.engine.data.images import RGB

SIDE_PX = 64
"""Crops are looked at in this size: names of colors need no detail."""
CENTRAL = 0.6
"""Share of either side that is looked at, in the middle: the rim of a box is mostly background (ours)."""
COLORS = ("black", "white", "gray", "red", "orange", "brown", "yellow", "green", "blue", "purple", "pink")
_HUES = ((15, "red"), (40, "orange"), (70, "yellow"), (170, "green"), (260, "blue"), (300, "purple"), (345, "pink"))
"""Hue in degrees up to which the name holds, and red again from the last on; the limits are ours."""


class Color(NamedTuple):
    """`share` is the part of the looked-at pixels that has this color."""

    name: str
    share: float


def is_colorless(image: RGB) -> bool:
    """Whether a picture is black and white: in 99% of its pixels the channels differ by at most 12 of 255 (ours).

    The grays of such a picture are not the colors of what it shows.
    """
    small = resized(image, (SIDE_PX, SIDE_PX))
    return bool((np.ptp(small, axis=2) <= 12).mean() >= 0.99)


def dominant_color(image: RGB, min_share: float) -> Color | None:
    """The color of at least `min_share` of the middle of a (h, w, 3) crop, or None.

    Dark pixels (value below 0.2) are black; those of low saturation (below 0.15) are white from value 0.8 on, else
    gray; the rest go by hue, where dull orange and dull yellow (value below 0.65, saturation below 0.8) and dark
    orange (value below 0.45) are brown, as are no other hues. Ties go to the first of `COLORS`.
    """
    import cv2

    height, width = image.shape[:2]
    top, left = int(height * (1 - CENTRAL) / 2), int(width * (1 - CENTRAL) / 2)
    middle = image[top : height - top, left : width - left]
    small = resized(middle, (SIDE_PX, SIDE_PX))
    hsv = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)  # hue 0..360, saturation and value 0..1
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    limits, names = zip(*_HUES, strict=True)
    by_hue = np.array([COLORS.index(name) for name in (*names, "red")])
    code = by_hue[np.searchsorted(np.array(limits), hue, side="right")]
    is_warm = np.isin(code, [COLORS.index("orange"), COLORS.index("yellow")])
    is_dull = (value < 0.65) & (saturation < 0.8)
    is_dark_orange = (code == COLORS.index("orange")) & (value < 0.45)
    code = np.where((is_warm & is_dull) | is_dark_orange, COLORS.index("brown"), code)
    code = np.where(saturation < 0.15, np.where(value >= 0.8, COLORS.index("white"), COLORS.index("gray")), code)
    code = np.where(value < 0.2, COLORS.index("black"), code)
    shares = np.bincount(code.reshape(-1), minlength=len(COLORS)) / code.size
    best = int(shares.argmax())
    return Color(COLORS[best], float(shares[best])) if shares[best] >= min_share else None
