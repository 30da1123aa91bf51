"""What a score is worth: isotonic regression of "was it right" on the score, per source and claim, on gold images.

The scores of two models mean different things; the probabilities that come out here can be compared, and weigh boxes
and labels in a merge. Isotonic regression (Zadrozny and Elkan 2002) assumes only that a higher score is not worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from fld_engine.engine.data.geometry import Bools, Floats, pairwise_iou
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, boxes_of
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import same_name

Claim = Literal["objects", "labels", "rivals"]
"""There is such a thing at this place; it bears this name; it bears the runner-up's name. Words of `round.json`.

Gold says whether these are right. Texts make no such claim: a caption is better or worse, not right or wrong. The
probabilities of their words are not calibrated, are compared only with those of the same student, and the gate judges
what comes of it.
"""

CLAIMS: tuple[Claim, ...] = get_args(Claim)
RIGHT_IOU = 0.5
"""A box is right on gold from this IoU on: what the calibrated probability of a box means."""
MIN_EXAMPLES = 30
"""With fewer judged scores, a source stays uncalibrated: the steps of the regression would be single examples."""
PRIOR_EXAMPLES = 1.0
"""Each step of the curve also counts this many examples at the source's overall precision, so that five right out of
five do not become certainty."""


class Calibration(Frozen):
    """The curve of one source for one claim (`family`): `probabilities[i]` at score `scores[i]`, linear between.

    `state` says `uncalibrated` where gold was too small; the score then stands for itself, and reports must say so.
    """

    source: str
    family: Claim
    state: Literal["calibrated", "uncalibrated"]
    num_examples: int
    scores: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """(n,) probabilities in [0, 1] that annotations of these scores are right."""
        given = np.asarray(scores, dtype=np.float64)
        if self.state == "uncalibrated":
            return np.clip(given, 0.0, 1.0)
        found: Floats = np.interp(given, self.scores, self.probabilities)
        return found


def fit(
    source: str, claim: Claim, scores: npt.ArrayLike, correct: npt.ArrayLike, *, min_examples: int = MIN_EXAMPLES
) -> Calibration:
    """Calibrate a claim of a source from (n,) scores and whether each was right; ties and order do not matter."""
    from scipy.optimize import isotonic_regression

    x, inverse = np.unique(np.asarray(scores, dtype=np.float64), return_inverse=True)
    right: Bools = np.asarray(correct, dtype=bool)
    if len(right) < min_examples:
        return Calibration(source=source, family=claim, state="uncalibrated", num_examples=len(right))
    count = np.bincount(inverse.reshape(-1)).astype(np.float64)
    hits = np.bincount(inverse.reshape(-1), weights=right)
    curve = isotonic_regression(hits / count, weights=count)
    steps = np.repeat(np.arange(len(curve.weights)), np.diff(curve.blocks))
    prior = right.mean()
    smoothed = (curve.x * curve.weights[steps] + prior * PRIOR_EXAMPLES) / (curve.weights[steps] + PRIOR_EXAMPLES)
    return Calibration(
        source=source,
        family=claim,
        state="calibrated",
        num_examples=len(right),
        scores=tuple(float(round(v, 4)) for v in x),
        probabilities=tuple(float(round(v, 4)) for v in np.maximum.accumulate(smoothed)),
    )


class Calibrations:
    """The calibrations of a round, by source and claim; a source that is not among them is uncalibrated."""

    def __init__(self, known: Iterable[Calibration] = ()) -> None:
        self._known: Mapping[tuple[str, str], Calibration] = {(c.source, c.family): c for c in known}

    def of(self, source: str, claim: Claim) -> Calibration:
        missing = Calibration(source=source, family=claim, state="uncalibrated", num_examples=0)
        return self._known.get((source, claim), missing)


@dataclass(slots=True)
class _Scores:
    scores: list[float] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)

    def add(self, score: float, right: bool) -> None:
        self.scores.append(score)
        self.correct.append(right)


def calibrate(
    images: Sequence[LabelledImage], judged: Mapping[str, Judgement], gold: Mapping[str, Gold]
) -> tuple[Calibration, ...]:
    """Curves for boxes, names and runners-up, of old labels (`labels`) and of the student's detections (`student`).

    A name that somebody gave is right more often than a runner-up of the same score: they are not of one population.

    Fitted on the `calibrate` split alone: the gate must not judge on what was tuned.
    """
    found = {(source, claim): _Scores() for source in ("labels", "student") for claim in CLAIMS}
    for image in images:
        if image.gold_split != "calibrate":
            continue
        judgement, truth = judged[image.id], gold[image.id].regions
        for source, regions in (("labels", judgement.old), ("student", judgement.seen)):
            _judge_by_gold(regions, truth.xyxy, truth.labels, {claim: found[source, claim] for claim in CLAIMS})
    return tuple(fit(source, claim, v.scores, v.correct) for (source, claim), v in found.items())


def _judge_by_gold(
    regions: Sequence[RegionLabel],
    truth: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    labels: Sequence[str],
    found: Mapping[Claim, _Scores],
) -> None:
    """Add the scores of one image's regions. A name is judged where its box is right: alone it means nothing."""
    overlaps = pairwise_iou(boxes_of(regions).xyxy, truth.reshape(-1, 4))
    for region, row in zip(regions, overlaps, strict=True):
        right = bool(len(row) and row.max() >= RIGHT_IOU)
        if region.place_asked:
            found["objects"].add(region.p, right)
        if right:
            true = labels[int(row.argmax())]
            if region.name_asked:
                found["labels"].add(region.p_label, same_name(region.label, true))
            if region.runner_up:
                found["rivals"].add(region.p_runner_up, same_name(region.runner_up, true))
