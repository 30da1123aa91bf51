"""Settings of Pascal VOC sources."""

from __future__ import annotations

from typing import Literal

from fld_engine.engine.sources.voc.pictures import Corners
from fld_engine.schemas.annotations import Frozen


class VocParams(Frozen):
    """How XML files are read.

    `corners`: `pixels` are numbers from 1 of the first and the last pixel of a box, as the releases of the challenge
    have them, `edges` coordinates from 0 of its edges, as labelImg, CVAT and Roboflow write them; empty: by whether a
    file names `The VOC… Database`. `difficult`: whether objects that are marked so become regions.
    """

    corners: Corners = ""
    difficult: Literal["keep", "drop"] = "keep"
