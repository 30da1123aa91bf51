"""Labelled boxes as metrics take them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fld_engine.engine.data.geometry import Floats


@dataclass(frozen=True, slots=True)
class Boxes:
    """Labelled boxes of one image: (n, 4) pixels, n labels, (n,) scores (ones where there are none)."""

    xyxy: Floats
    labels: list[str]
    scores: Floats = field(default_factory=lambda: np.zeros(0))


NO_BOXES = Boxes(np.zeros((0, 4)), [])

Grounded = tuple[str, Floats]
"""A phrase and the (n, 4) boxes that it refers to, the surest first."""
