"""Filters of images: too small, too narrow, too crowded to trust."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from engine.protocols import Tables, Verdicts
from filters.columns import counts_by, floats
from schemas.annotations import Frozen


class ImageSize:
    """Keeps images whose shorter side has at least `min_side` pixels."""

    class Params(Frozen):
        min_side: int = Field(default=64, gt=0, description="pixels; ours: below it, no detector of ours sees anything")

    version = 1
    target: ClassVar[str] = "images"
    requires: frozenset[str] = frozenset()

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        images = tables["images"]
        value = np.minimum(floats(images, "width"), floats(images, "height"))
        return Verdicts(keep=value >= self.params.min_side, value=value, reason="too_small")


class ImageAspect:
    """Keeps images whose longer side is at most `max_ratio` times the shorter."""

    class Params(Frozen):
        max_ratio: float = Field(default=4.0, ge=1, description="ours: banners and strips, squashed by every model")

    version = 1
    target: ClassVar[str] = "images"
    requires: frozenset[str] = frozenset()

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        width, height = floats(tables["images"], "width"), floats(tables["images"], "height")
        value = np.maximum(width, height) / np.minimum(width, height)
        return Verdicts(keep=value <= self.params.max_ratio, value=value, reason="extreme_aspect")


class ImageCrowding:
    """Keeps images with at most `max_objects` object regions of score `min_score` or more."""

    class Params(Frozen):
        max_objects: int = Field(default=100, gt=0, description="ours: DETR's 100 queries, a crowd nobody has labelled")
        min_score: float = Field(default=0.3, ge=0, le=1, description="OWL-ST's bound for a sure box")

    version = 1
    target: ClassVar[str] = "images"
    requires: frozenset[str] = frozenset({"regions"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        sure = floats(regions, "score") >= self.params.min_score
        sure &= regions["kind"].to_numpy(zero_copy_only=False) == "object"
        value = counts_by(regions["image_id"].to_pylist(), tables["images"]["id"].to_pylist(), sure)
        return Verdicts(keep=value <= self.params.max_objects, value=value, reason="too_many_objects")
