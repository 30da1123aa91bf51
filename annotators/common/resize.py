"""Pictures in another size. OpenCV is asked for here alone, when a picture is there: looking at what is installed, and
checkpoints of a hub, need none."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt


def resized(
    pixels: npt.NDArray[Any], wh: tuple[int, int], by: Literal["area", "linear", "cubic"] = "area"
) -> npt.NDArray[Any]:
    """A (height, width, …) picture in the size `wh`, in its own type."""
    import cv2

    how = {"area": cv2.INTER_AREA, "linear": cv2.INTER_LINEAR, "cubic": cv2.INTER_CUBIC}[by]
    return np.asarray(cv2.resize(pixels, wh, interpolation=how), dtype=pixels.dtype)
