"""What a round did to the labels, told with the truth at hand: repaired, damaged, and edits that came closer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.refinement.labels import ImageLabels, Named, boxes_of, labelled
from benchmarks.refinement.noise import KINDS, Kind, NoisyLabels
from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.refinement.gate.before_after import before_after
from fld_engine.refinement.gate.measured import measure_edits
from fld_engine.refinement.gate.metrics_boxes import Counts, count_matches
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage

RIGHT_IOU = 0.5
"""A label is right where its name is and its box has this IoU with the truth: what label F1 counts."""


@dataclass(frozen=True, slots=True)
class RoundAccount:
    """`repaired` is the share of errors of a kind that are gone; `damaged` of right labels that no longer are."""

    precision: float
    recall: float
    f1: float
    repaired: Mapping[Kind, float]
    damaged: float
    edit_precision: float
    num_edits: int


def label_counts(labels: Sequence[ImageLabels], truth: Sequence[ImageLabels], *, min_iou: float = RIGHT_IOU) -> Counts:
    """Labels against truth over all images; a match has the right name."""
    pairs = zip(labels, truth, strict=True)
    return sum((count_matches(boxes_of(a), boxes_of(b), min_iou=min_iou) for a, b in pairs), Counts())


def account(noisy: NoisyLabels, after: Sequence[ImageLabels], truth: Sequence[ImageLabels]) -> RoundAccount:
    """Compare labels after a round with those before it and with the truth. Labels keep their ids through a round."""
    counts = label_counts(after, truth)
    pairs = before_after(*(_as_images(labels) for labels in (noisy.labels, after)), _as_gold(truth))
    edits = next(edits for edits in measure_edits(pairs) if edits.unit == "regions")
    return RoundAccount(
        precision=counts.precision,
        recall=counts.recall,
        f1=counts.f1,
        repaired={kind: _repaired(noisy, after, truth, kind) for kind in KINDS},
        damaged=_damaged(noisy, after, truth),
        edit_precision=edits.num_closer / edits.num_edits if edits.num_edits else 1.0,
        num_edits=edits.num_edits,
    )


def _as_images(labels: Sequence[ImageLabels]) -> list[LabelledImage]:
    return [labelled(image, str(i), image_px=1) for i, image in enumerate(labels)]


def _as_gold(truth: Sequence[ImageLabels]) -> dict[str, Gold]:
    return {str(i): Gold(boxes_of(labels)) for i, labels in enumerate(truth)}


def _is_right(label: Named, truth: Sequence[Named]) -> bool:
    overlaps = _overlaps(label, truth)
    return any(iou >= RIGHT_IOU and true.label == label.label for iou, true in zip(overlaps, truth, strict=True))


def _repaired(noisy: NoisyLabels, after: Sequence[ImageLabels], truth: Sequence[ImageLabels], kind: Kind) -> float:
    """Share of injected errors that are gone; 1 where none was injected."""
    outcomes = []
    for error in noisy.injected:
        if error.kind != kind:
            continue
        regions = after[error.image].regions
        if kind == "wrong_words":
            outcomes.append(after[error.image].caption == truth[error.image].caption)
        elif error.true is None:
            outcomes.append(all(region.id != error.label_id for region in regions))
        else:
            outcomes.append(any(_is_right(region, [error.true]) for region in regions))
    return float(np.mean(outcomes)) if outcomes else 1.0


def _damaged(noisy: NoisyLabels, after: Sequence[ImageLabels], truth: Sequence[ImageLabels]) -> float:
    """Share of the labels that were right before and are gone or wrong now."""
    lost = total = 0
    for before, now, true in zip(noisy.labels, after, truth, strict=True):
        kept = {region.id: region for region in now.regions}
        for region in before.regions:
            if _is_right(region, true.regions):
                total += 1
                lost += region.id not in kept or not _is_right(kept[region.id], true.regions)
    return lost / total if total else 0.0


def _overlaps(label: Named, others: Sequence[Named]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if not others:
        return np.zeros(0)
    return pairwise_iou(np.array([label.box_xyxy]), np.array([other.box_xyxy for other in others]))[0]
