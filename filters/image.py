"""Filters of images: too small, too narrow, too crowded to trust."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.columns import codes, equals, floats, positions
from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.columns import by_human
from fld_engine.schemas.annotations import Frozen


class ImageSize:
    """Keeps images whose shorter side has at least `min_side` pixels; the value is that side."""

    class Params(Frozen):
        """How small is too small."""

        min_side: int = Field(
            default=64, gt=0, description="pixels; ours: a sixth of what detectors see, most of it made up by resizing"
        )

    version = 1
    target: ClassVar[str] = "images"
    requires: frozenset[str] = frozenset({"images"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        images = tables["images"]
        side = np.minimum(floats(images, "width"), floats(images, "height"))
        return Verdicts(keep=side >= self.params.min_side, value=side, reason="too_small")


class ImageAspect:
    """Keeps images whose longer side is at most `max_ratio` times the shorter; the value is that ratio."""

    class Params(Frozen):
        """How narrow is too narrow."""

        max_ratio: float = Field(
            default=4.0, ge=1, description="ours: banners and strips, which models squash beyond recognition"
        )

    version = 1
    target: ClassVar[str] = "images"
    keeps_low: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"images"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        width, height = floats(tables["images"], "width"), floats(tables["images"], "height")
        ratio = np.maximum(width, height) / np.minimum(width, height)
        return Verdicts(keep=ratio <= self.params.max_ratio, value=ratio, reason="extreme_aspect")


class ImageCrowding:
    """Keeps images in which no detector sees more than `max_objects` objects; the value is the highest count.

    Counted by detector, so that a second one does not make a crowd of what the first saw. What people drew is trusted
    and not counted.
    """

    class Params(Frozen):
        """What a crowd is."""

        max_objects: int = Field(
            default=60, gt=0, description="ours: detectors stop at 100 as COCO's evaluation does, and miscount before"
        )
        min_score: float = Field(
            default=0.3, ge=0, le=1, description="score a counted region has; what OWL-ST calls sure (arXiv 2306.09683)"
        )

    version = 1
    target: ClassVar[str] = "images"
    keeps_low: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"images", "regions"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        images, regions = tables["images"], tables["regions"]
        counted = equals(regions["kind"], "object") & (floats(regions, "score") >= self.params.min_score)
        counted &= ~by_human(regions)
        regions = regions.filter(pa.array(counted))
        place = positions(regions["image_id"], images["id"])
        _, first, number = np.unique(
            codes(regions["image_id"], regions["annotator"]), return_index=True, return_counts=True
        )
        most = np.zeros(images.num_rows, dtype=np.float64)
        shown = place[first] >= 0  # images that earlier filters dropped are not asked about
        np.maximum.at(most, place[first][shown], number[shown])
        return Verdicts(keep=most <= self.params.max_objects, value=most, reason="too_many_objects")
