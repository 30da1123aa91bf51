"""The merge of one image: scores become probabilities, then regions and texts are reconciled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from fld_engine.refinement.labels.image import LabelledImage, RegionLabel
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.merge.calibration import CLAIMS, Calibration, Calibrations, Claim
from fld_engine.refinement.merge.regions import merge_regions
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.refinement.merge.texts import merge_texts

WHOLE: tuple[Claim, ...] = ("objects", "labels")
"""A label is right where its place and its name are."""


@dataclass(slots=True)
class Merged:
    """An image as a merge would leave it, and the edits that lead there."""

    image: LabelledImage
    edits: tuple[Edit, ...] = ()


def merge_image(
    image: LabelledImage, judged: Judgement, calibrations: Sequence[Calibration], rules: MergeRules
) -> Merged:
    """Reconcile the labels of an image with its student's judgement.

    Where gold was too small for a curve of boxes and one of names, it is not known how often labels, or detections,
    of a score are right: then none are removed, or added. What a student prefers of two names or places needs no curve.
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
        if any(known.of(source, claim).state == "uncalibrated" for claim in WHOLE)
    }
    return rules.model_copy(update=unknown)


def _calibrated(region: RegionLabel, known: Calibrations, source: str) -> RegionLabel:
    """Probabilities in the place of raw scores. Rounded as they are stored."""
    box, name, runner_up = (known.of(source, claim) for claim in CLAIMS)
    p, p_label, p_runner_up = (
        round(float(curve.apply([score])[0]), 4)
        for curve, score in ((box, region.p), (name, region.p_label), (runner_up, region.p_runner_up))
    )
    return replace(region, p=p, p_label=p_label, p_runner_up=p_runner_up)
