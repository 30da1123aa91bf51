"""Every figure of a unit on gold, before and after a round: what stands beside the one that the gate decides on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engine.geometry import pairwise_iou
from refinement.dataset import Gold, LabelledImage, boxes_of
from refinement.ledger import Unit
from refinement.merge_regions import RegionLabel
from refinement.metrics_boxes import IOUS, Boxes, Counts, average_precision, count_matches
from schemas.annotations import Frozen

FAR = 0.1
"""Overlap with whatever is nearest under which a box is about nothing."""


class Measured(Frozen):
    """One figure of a unit; higher is better."""

    unit: Unit
    metric: str
    before: float
    after: float


class EditsMeasured(Frozen):
    """Labels of regions that a round changed, and how many of them came closer to gold."""

    num_edits: int = 0
    num_closer: int = 0


def measure_regions(
    before: Sequence[LabelledImage], after: Sequence[LabelledImage], gold: Mapping[str, Gold]
) -> tuple[Measured, ...]:
    """Precision, recall and F1 at IoU 0.5 and 0.75, and COCO average precision; nothing where there is no image."""
    if not before:
        return ()
    a, b = _regions_figures(before, gold), _regions_figures(after, gold)
    return tuple(Measured(unit="regions", metric=name, before=a[name], after=b[name]) for name in a)


def measure_edits(
    before: Sequence[LabelledImage], after: Sequence[LabelledImage], gold: Mapping[str, Gold]
) -> EditsMeasured:
    """Judge every region that was added, removed or changed; labels keep their ids through a round."""
    closer = [
        closeness(new, gold[a.id].regions) > closeness(old, gold[a.id].regions)
        for a, b in zip(before, after, strict=True)
        for old, new in _changed(a.regions, b.regions)
    ]
    return EditsMeasured(num_edits=len(closer), num_closer=sum(closer))


def closeness(label: RegionLabel | None, truth: Boxes) -> float:
    """How good a label is: 0.5 for the right name of what it overlaps most, and up to 0.5 for the IoU; 0 for none.

    A label that overlaps nothing by `FAR` is worse than none: -0.5.
    """
    if label is None:
        return 0.0
    overlaps = pairwise_iou(np.array([label.box_xyxy]), truth.xyxy.reshape(-1, 4))[0]
    if not len(overlaps) or overlaps.max() < FAR:
        return -0.5
    best = int(overlaps.argmax())
    return 0.5 * (truth.labels[best] == label.label) + 0.5 * float(overlaps[best])


def _changed(
    before: Sequence[RegionLabel], after: Sequence[RegionLabel]
) -> list[tuple[RegionLabel | None, RegionLabel | None]]:
    """(old, new) of every label whose name or box changed, None where there is none."""
    old, new = ({region.id: region for region in regions} for regions in (before, after))
    pairs = ((old.get(i), new.get(i)) for i in dict.fromkeys([*old, *new]))
    return [(a, b) for a, b in pairs if a is None or b is None or (a.label, a.box_xyxy) != (b.label, b.box_xyxy)]


def _regions_figures(images: Sequence[LabelledImage], gold: Mapping[str, Gold]) -> dict[str, float]:
    said, true = [boxes_of(image.regions) for image in images], [gold[image.id].regions for image in images]
    found: dict[str, float] = {}
    for iou in IOUS:
        counts = sum((count_matches(a, b, min_iou=iou) for a, b in zip(said, true, strict=True)), Counts())
        found |= {f"precision@{iou:g}": counts.precision, f"recall@{iou:g}": counts.recall, f"f1@{iou:g}": counts.f1}
    return {name: round(value, 4) for name, value in (found | average_precision(said, true)).items()}
