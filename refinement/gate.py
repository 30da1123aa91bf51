"""The gate: a round's labels replace the old ones only where gold says, beyond chance, that they are better.

Decided per unit, because texts lie with their groundings and regions with their texts. The question is paired: the
same gold images, the labels before and after. Resampling images (Efron and Tibshirani 1993, chapter 16) gives the
distribution of the difference without assuming anything about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from engine.geometry import Floats
from refinement.ledger import Unit
from refinement.metrics_boxes import Counts
from schemas.annotations import Frozen

Measure = Callable[[npt.NDArray[np.int64]], tuple[float, float]]
"""(before, after) of a metric over a sample of images, given as rows, repeats included."""


class GateRules(Frozen):
    """`confidence` is one-sided: 0.95 lets one harmless round in twenty pass as better."""

    num_resamples: int = Field(default=1000, gt=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_images: int = Field(default=10, gt=0)
    """With fewer gold images the gate says that it cannot tell, and refuses."""


class GateDecision(Frozen):
    """What the gate made of one unit. `gain_low` and `gain_high` bound the gain, each at the rules' confidence."""

    unit: Unit
    metric: str
    state: Literal["better", "not_better", "cannot_tell"]
    before: float
    after: float
    gain_low: float
    gain_high: float
    num_images: int
    why: str

    @property
    def accepted(self) -> bool:
        return self.state == "better"


def decide_gate(
    unit: Unit, metric: str, measure: Measure, num_images: int, rules: GateRules, *, seed: int
) -> GateDecision:
    """Compare a unit before and after a round on `num_images` gold images; higher is better.

    Accepted where the lower bound of the gain is above 0: labels that did not change have gain 0, and are refused.
    """
    if num_images < rules.min_images:
        why = f"{num_images} gold images are too few to tell: at least {rules.min_images} are needed"
        return GateDecision(
            unit=unit, metric=metric, state="cannot_tell", before=0.0, after=0.0,
            gain_low=0.0, gain_high=0.0, num_images=num_images, why=why,
        )  # fmt: skip
    before, after = measure(np.arange(num_images))
    rng = np.random.default_rng(seed)
    draws = rng.integers(num_images, size=(rules.num_resamples, num_images))
    gains = np.array([b - a for a, b in map(measure, draws)])
    low, high = np.quantile(gains, [1 - rules.confidence, rules.confidence])
    better = bool(low > 0)
    why = f"{metric} {before:.4f} -> {after:.4f}, gain between {low:+.4f} and {high:+.4f}"
    return GateDecision(
        unit=unit,
        metric=metric,
        state="better" if better else "not_better",
        before=round(before, 4),
        after=round(after, 4),
        gain_low=round(float(low), 4),
        gain_high=round(float(high), 4),
        num_images=num_images,
        why=why if better else f"{why}: not better beyond chance",
    )


def f1_measure(before: Sequence[Counts], after: Sequence[Counts]) -> Measure:
    """F1 over all boxes of the sampled images; per image, counts before and after."""
    sums = [np.array([[c.matched, c.predicted + c.gold] for c in counts]).reshape(-1, 2) for counts in (before, after)]

    def measure(rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        (m1, t1), (m2, t2) = (counts[rows].sum(axis=0) for counts in sums)
        return _ratio(2 * m1, t1), _ratio(2 * m2, t2)

    return measure


def mean_measure(before: Floats, after: Floats) -> Measure:
    """Mean over images of a figure per image, such as CIDEr."""

    def measure(rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        return float(before[rows].mean()), float(after[rows].mean())

    return measure


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0
