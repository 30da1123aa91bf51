"""Drops images that are labelled darker than a bound."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.schemas.annotations import Frozen


class BrightEnough:
    """Keeps an image when its brightness label scores at least `min_score`."""

    class Params(Frozen):
        """`min_score` is a share of full brightness."""

        min_score: float = 0.5

    version = 1
    target: ClassVar[str] = "images"
    requires = frozenset({"labels"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        labels = tables["labels"].to_pylist()
        scores = {row["image_id"]: row["score"] for row in labels if row["annotator"] == "brightness"}
        value = np.array([scores.get(i, np.nan) for i in tables["images"]["id"].to_pylist()], dtype=np.float64)
        return Verdicts(keep=value >= self.params.min_score, value=value, reason="too_dark")
