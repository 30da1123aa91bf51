"""The arithmetic of a round, once students have judged the labels: calibrate, merge, and let gold decide."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, get_args

import numpy as np
from pydantic import Field

from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.data.identity import Fields
from fld_engine.refinement.calibration import Calibration, Calibrations, Family, fit
from fld_engine.refinement.dataset import Gold, LabelledImage, boxes_of
from fld_engine.refinement.gate import (
    Gain,
    GateDecision,
    GateRules,
    decide_gate,
    f1_measure,
    gain_of,
    mean_measure,
    ratio_measure,
)
from fld_engine.refinement.judging import Judgement
from fld_engine.refinement.ledger import Edit
from fld_engine.refinement.measured import FOUND, ciders, found_counts, grounding_sums, mask_sums
from fld_engine.refinement.merge_regions import RegionLabel, merge_regions
from fld_engine.refinement.merge_rules import MergeRules
from fld_engine.refinement.merge_texts import merge_texts
from fld_engine.refinement.trial import Said, Trial, has_briefs, has_masks, has_phrases, has_regions
from fld_engine.schemas.annotations import Frozen

FAMILIES: tuple[Family, ...] = get_args(Family)
WHOLE: tuple[Family, ...] = ("objects", "labels")
"""A label is right where its place and its name are."""
MATCH = 0.5
"""A box is right on gold from this IoU on: what the calibrated probability of a box means."""


class RoundRules(Frozen):
    """The knobs of a round. `in_sample` is the paper's way: one student, trained on what it labels."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("num_folds", "in_sample", "merge", "gate"))

    num_folds: int = Field(default=2, ge=2)
    in_sample: bool = False
    merge: MergeRules = Field(default_factory=MergeRules)
    gate: GateRules = Field(default_factory=GateRules)


@dataclass(slots=True)
class Merged:
    """An image as a merge would leave it, and the edits that lead there."""

    image: LabelledImage
    edits: tuple[Edit, ...] = ()


# --------------------------------------------------------------------------------------------------- calibration


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
    """Curves for boxes, names and rivals, of old labels (`labels`) and of the student's sights (`student`).

    A name that somebody gave is right more often than a rival of the same score: they are not of one population.

    Fitted on the `calibrate` split alone: the gate must not judge on what was tuned.
    """
    found = {(source, family): _Scores() for source in ("labels", "student") for family in FAMILIES}
    for image in images:
        if image.gold_split != "calibrate":
            continue
        judgement, truth = judged[image.id], gold[image.id].regions
        for source, regions in (("labels", judgement.old), ("student", judgement.seen)):
            _judge_by_gold(regions, truth.xyxy, truth.labels, {family: found[source, family] for family in FAMILIES})
    return tuple(fit(source, family, v.scores, v.correct) for (source, family), v in found.items())


def _judge_by_gold(
    regions: Sequence[RegionLabel],
    truth: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    labels: Sequence[str],
    found: Mapping[Family, _Scores],
) -> None:
    """Add the scores of one image's regions. A name is judged where its box is right: alone it means nothing."""
    overlaps = pairwise_iou(boxes_of(regions).xyxy, truth.reshape(-1, 4))
    for region, row in zip(regions, overlaps, strict=True):
        right = bool(len(row) and row.max() >= MATCH)
        if region.place_asked:
            found["objects"].add(region.p, right)
        if right:
            true = labels[int(row.argmax())]
            found["labels"].add(region.p_label, region.label == true)
            if region.rival:
                found["rivals"].add(region.p_rival, region.rival == true)


# --------------------------------------------------------------------------------------------------------- merge


def merge_image(
    image: LabelledImage, judged: Judgement, calibrations: Sequence[Calibration], rules: MergeRules
) -> Merged:
    """Reconcile the labels of an image with what its student thought and saw.

    Where gold was too small for a curve of boxes and one of names, nobody knows how often labels, or sightings, of a
    score are right: then none are removed, or added. What a student prefers of two names or places needs no curve.
    """
    known = Calibrations(calibrations)
    rules = _as_far_as_known(rules, known)
    old, seen = (
        [_calibrated(region, known, source) for region in regions]
        for source, regions in (("labels", judged.old), ("student", judged.seen))
    )
    regions = merge_regions(image.id, old, seen, rules)
    texts = merge_texts(
        image.id, judged.old_texts, judged.seen_texts, [region.label for region in regions.labels], rules
    )
    merged = replace(image, regions=regions.labels, texts=texts.labels)
    return Merged(merged, (*regions.edits, *texts.edits))


def _as_far_as_known(rules: MergeRules, known: Calibrations) -> MergeRules:
    unknown = {
        rule: None
        for source, rule in (("labels", "drop_below"), ("student", "admit_precision"))
        if any(known.of(source, family).state == "uncalibrated" for family in WHOLE)
    }
    return rules.model_copy(update=unknown)


def _calibrated(region: RegionLabel, known: Calibrations, source: str) -> RegionLabel:
    """Probabilities in the place of raw scores. Rounded as they are stored."""
    box, name, rival = (known.of(source, family) for family in FAMILIES)
    p, p_label, p_rival = (
        round(float(curve.apply([score])[0]), 4)
        for curve, score in ((box, region.p), (name, region.p_label), (rival, region.p_rival))
    )
    return replace(region, p=p, p_label=p_label, p_rival=p_rival)


# ---------------------------------------------------------------------------------------------------------- gate


def judge_gates(trial: Trial, rules: GateRules, *, seed: int, prefix: str = "") -> tuple[GateDecision, ...]:
    """Regions by F1 at IoU 0.5, unless their masks get worse; texts by CIDEr, unless their groundings do.

    Names of metrics begin with `prefix`.
    """
    boxed, told = trial.where(has_regions), trial.where(has_briefs)
    f1 = f1_measure(*(list(map(found_counts, side)) for side in boxed))
    regions = decide_gate(
        "regions", f"{prefix}f1@{FOUND:g}", f1, len(boxed), rules, seed=seed,
        beside=_beside(trial.where(has_masks), "mask_iou", mask_sums, rules, seed),
    )  # fmt: skip
    texts = decide_gate(
        "texts", f"{prefix}cider", mean_measure(*map(ciders, told)), len(told), rules, seed=seed,
        beside=_beside(trial.where(has_phrases), f"grounding_recall@{FOUND:g}", grounding_sums, rules, seed),
    )  # fmt: skip
    return regions, texts


def _beside(
    trial: Trial, metric: str, sums: Callable[[Said], tuple[float, int]], rules: GateRules, seed: int
) -> list[Gain]:
    if not len(trial):
        return []
    measure = ratio_measure(*(list(map(sums, side)) for side in trial))
    return [gain_of(metric, measure, len(trial), rules, seed=seed)]
