"""The gate: a round's labels replace the old ones only where they are better on gold, beyond chance.

Decided per unit, because texts lie with their groundings and regions with their texts. The question is paired: the
same gold images, the labels before and after. Resampling them (Efron and Tibshirani 1993, chapter 16) gives the
distribution of the difference without assuming anything about it, but that what is drawn is independent: so groups of
near-twins are drawn, each whole (the cluster bootstrap of Davison and Hinkley 1997, section 3.8), and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.identity import Fields
from fld_engine.refinement.gate.metrics_boxes import Counts
from fld_engine.refinement.labels.ledger import Unit
from fld_engine.schemas.annotations import Frozen

Measure = Callable[[npt.NDArray[np.int64]], tuple[float, float]]
"""(before, after) of a metric over a sample of images, given as rows, repeats included."""


State = Literal["better", "not_better", "cannot_tell"]


class GateRules(Frozen):
    """`confidence` is one-sided: 0.95 lets one harmless round in twenty pass as better."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("num_resamples", "confidence", "min_images"))

    num_resamples: int = Field(default=1000, gt=0)
    confidence: float = Field(default=0.95, gt=0.5, lt=1)
    min_images: int = Field(default=10, gt=0)
    """With fewer gold images, near-twins counted once, the gate cannot tell, and refuses."""


class Gain(Frozen):
    """A metric before and after; `low` and `high` bound the gain, each at the rules' confidence.

    `num_groups` are the groups of near-twins that the images are of.
    """

    metric: str
    before: float
    after: float
    low: float
    high: float
    num_images: int
    num_groups: int

    def __str__(self) -> str:
        bounds = f"gain between {self.low:+.4f} and {self.high:+.4f}"
        return f"{self.metric} {self.before:.4f} -> {self.after:.4f}, {bounds}"


class GateDecision(Frozen):
    """What the gate made of one unit. `gain_low` and `gain_high` bound the gain, each at the rules' confidence.

    With `num_images` 0 nothing was measured, and the figures mean nothing.
    """

    unit: Unit
    metric: str
    state: State
    before: float
    after: float
    gain_low: float
    gain_high: float
    num_images: int
    why: str

    @property
    def accepted(self) -> bool:
        return self.state == "better"


def gain_of(
    metric: str,
    measure: Measure,
    num_images: int,
    rules: GateRules,
    *,
    seed: int,
    twin_groups: Sequence[str] | None = None,
) -> Gain:
    """What `num_images` gold images, at least one, say of a metric; higher is better.

    `twin_groups` has the group of each image, by default one of its own.
    """
    before, after = measure(np.arange(num_images))
    members = _members(twin_groups if twin_groups is not None else [str(row) for row in range(num_images)])
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(members), size=(rules.num_resamples, len(members)))
    gains = np.array([b - a for a, b in (measure(np.concatenate([members[i] for i in draw])) for draw in draws)])
    low, high = np.quantile(gains, [1 - rules.confidence, rules.confidence])
    before, after, low, high = (round(float(value), 4) for value in (before, after, low, high))
    return Gain(
        metric=metric, before=before, after=after, low=low, high=high, num_images=num_images, num_groups=len(members)
    )


def _members(twin_groups: Sequence[str]) -> list[npt.NDArray[np.int64]]:
    """Rows of each group, groups by their first image."""
    rows: dict[str, list[int]] = {}
    for row, group in enumerate(twin_groups):
        rows.setdefault(group, []).append(row)
    return [np.array(of_group, dtype=np.int64) for of_group in rows.values()]


def decide_gate(
    unit: Unit,
    metric: str,
    measure: Measure,
    num_images: int,
    rules: GateRules,
    *,
    seed: int,
    guardrails: Sequence[Gain] = (),
    twin_groups: Sequence[str] | None = None,
) -> GateDecision:
    """Compare a unit before and after a round on `num_images` gold images; higher is better.

    `twin_groups` has the group of each image, by default one of its own.

    Accepted where the lower bound of the gain is above 0: labels that did not change have gain 0, and are refused.
    Refused, too, where one of the `guardrails`, gains of something else that the unit holds, is a loss beyond chance; a
    guardrail on fewer groups of images than the rules ask for is passed over.
    """
    if not num_images:
        return _decision(
            unit,
            Gain(metric=metric, before=0.0, after=0.0, low=0.0, high=0.0, num_images=0, num_groups=0),
            "cannot_tell",
            f"nothing to judge {unit} by: no image of the gate's split has both labels and gold of them",
        )
    gain = gain_of(metric, measure, num_images, rules, seed=seed, twin_groups=twin_groups)
    if gain.num_groups < rules.min_images:
        alike = f" of {gain.num_groups} groups of near-twins" if gain.num_groups < num_images else ""
        few = f"{num_images} gold images{alike} are too few to tell: at least {rules.min_images} are needed"
        return _decision(unit, gain, "cannot_tell", few)
    if gain.low <= 0:
        return _decision(unit, gain, "not_better", f"{gain}: not better beyond chance")
    lost = [other for other in guardrails if other.num_groups >= rules.min_images and other.high < 0]
    if lost:
        worse = "; ".join(f"{other}: worse beyond chance" for other in lost)
        return _decision(unit, gain, "not_better", f"{gain}: better, but {worse}")
    return _decision(unit, gain, "better", str(gain))


def _decision(unit: Unit, gain: Gain, state: State, why: str) -> GateDecision:
    return GateDecision(
        unit=unit,
        metric=gain.metric,
        state=state,
        before=gain.before,
        after=gain.after,
        gain_low=gain.low,
        gain_high=gain.high,
        num_images=gain.num_images,
        why=why,
    )


def f1_measure(before: Sequence[Counts], after: Sequence[Counts]) -> Measure:
    """F1 over all boxes of the sampled images; per image, counts before and after."""
    sums = (np.array([[2 * c.matched, c.predicted + c.gold] for c in counts]) for counts in (before, after))
    return ratio_measure(*sums)


def ratio_measure(before: npt.ArrayLike, after: npt.ArrayLike) -> Measure:
    """Sum of parts by sum of wholes over the sampled images, 1 where there is no whole; (n, 2) part and whole each."""
    sides = [np.asarray(sums, dtype=np.float64).reshape(-1, 2) for sums in (before, after)]

    def measure(rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        (part, whole), (new_part, new_whole) = (sums[rows].sum(axis=0) for sums in sides)
        return _ratio(part, whole), _ratio(new_part, new_whole)

    return measure


def mean_measure(before: Floats, after: Floats) -> Measure:
    """Mean over images of a figure per image, such as CIDEr."""

    def measure(rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        return float(before[rows].mean()), float(after[rows].mean())

    return measure


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else 1.0
