"""Whether the texts of a specialist for a sparse task may stand: gold decides, and without gold they are believed.

A text that is longer than another is not better for it, and one that fits every image does not describe this one. So
the specialist must beat, by CIDEr on the gold images of the gate, both the brief text of each image and its own text of
another image: the first lacks the detail, the second the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fld_engine.engine.data.geometry import Floats
from fld_engine.refinement.gate.gate import GateDecision, GateRules, Measure, decide_gate
from fld_engine.refinement.gate.metrics_text import cider
from fld_engine.schemas.annotations import Frozen, Granularity

METRIC = "cider"


@dataclass(frozen=True, slots=True)
class TextComparison:
    """Texts of one gold image at one granularity: by people, by the specialist, and of the labels.

    `brief` is its brief label; `small` its text of the small set, which the specialist has not learned from. Both may
    be empty. Near-twins share a `twin_group`; an image without one is like no other.
    """

    gold: tuple[str, ...]
    written: str
    brief: str = ""
    small: str = ""
    twin_group: str = ""


class SmallSet(Frozen):
    """CIDEr of the texts that the specialist learned from and of its own, on the gold images that have both."""

    num_images: int
    before: float
    after: float


class SparseGate(Frozen):
    """The decision on one granularity. `brief` and `another` are the CIDEr of the two that must be beaten."""

    granularity: Granularity
    decision: GateDecision
    brief: float
    another: float
    small_set: SmallSet | None

    @property
    def measured(self) -> bool:
        """Whether there was enough gold to tell."""
        return self.decision.state != "cannot_tell"

    @property
    def accepted(self) -> bool:
        """Refused where gold finds nothing better; without enough gold a specialist is believed like any other."""
        return self.decision.state != "not_better"


def judge_written(
    granularity: Granularity, images: Sequence[TextComparison], rules: GateRules, *, seed: int
) -> SparseGate:
    """Decide on a granularity by the images of the gate that have gold for it and a text of the specialist."""
    references = [image.gold for image in images]
    written = [image.written for image in images]
    groups = [image.twin_group or f"image {row}" for row, image in enumerate(images)]
    brief, another, after = (
        cider(texts, references) for texts in ([image.brief for image in images], _of_others(written, groups), written)
    )
    decision = decide_gate(
        "texts", METRIC, _better_of(brief, another, after), len(images), rules, seed=seed, twin_groups=groups
    )
    return SparseGate(
        granularity=granularity,
        decision=decision,
        brief=_mean(brief),
        another=_mean(another),
        small_set=_small_set([image for image in images if image.small]),
    )


def _of_others(written: Sequence[str], groups: Sequence[str]) -> list[str]:
    """For each image the text of the one before it that is no near-twin of it; its own where there is none such."""
    num = len(written)
    return [
        next((written[row - back] for back in range(1, num) if groups[row - back] != groups[row]), written[row])
        for row in range(num)
    ]


def _better_of(brief: Floats, another: Floats, after: Floats) -> Measure:
    def measure(rows: npt.NDArray[np.int64]) -> tuple[float, float]:
        return float(max(brief[rows].mean(), another[rows].mean())), float(after[rows].mean())

    return measure


def _small_set(images: Sequence[TextComparison]) -> SmallSet | None:
    if not images:
        return None
    references = [image.gold for image in images]
    before, after = (cider(texts, references) for texts in ([i.small for i in images], [i.written for i in images]))
    return SmallSet(num_images=len(images), before=_mean(before), after=_mean(after))


def _mean(scores: Floats) -> float:
    return round(float(scores.mean()), 4) if len(scores) else 0.0
