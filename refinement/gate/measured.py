"""Every figure of a unit on gold, before and after a round: what the gate decides on, and all others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fld_engine.engine.data.geometry import Floats, pairwise_iou
from fld_engine.refinement.gate.before_after import (
    BeforeAfter,
    ComparedImage,
    has_briefs,
    has_masks,
    has_phrases,
    has_read,
    has_regions,
)
from fld_engine.refinement.gate.metrics_boxes import IOUS, Counts, average_precision, count_matches, grounding_recall
from fld_engine.refinement.gate.metrics_text import character_error_rate, cider, mask_iou
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.image import RegionLabel, boxes_of
from fld_engine.refinement.labels.ledger import Unit
from fld_engine.refinement.labels.matching import match_boxes
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import same_name

FAR = 0.1
"""A box that overlaps nothing of gold by this is about nothing."""
FOUND = IOUS[0]
"""A box that overlaps one of gold by this is about the same thing: its mask and its read text are compared."""
Figures = Callable[[Sequence[ComparedImage]], dict[str, float]]
"""Metric → figure over images."""


class Measured(Frozen):
    """One figure of a unit; higher is better, but for `character_error`."""

    unit: Unit
    metric: str
    before: float
    after: float


def measure(pairs: BeforeAfter) -> tuple[Measured, ...]:
    """Precision, recall, F1 at both IoUs and COCO average precision; IoU of masks; character error; CIDEr; grounding.

    A figure for which there is no gold is left out.
    """
    kinds: tuple[tuple[Unit, Callable[[ComparedImage], bool], Figures], ...] = (
        ("regions", has_regions, _box_figures),
        ("regions", has_masks, lambda images: {"mask_iou": _ratio(map(mask_sums, images))}),
        ("regions", has_read, lambda images: {"character_error": _character_error(images)}),
        ("texts", has_briefs, lambda images: {"cider": float(ciders(images).mean())}),
        ("texts", has_phrases, lambda images: {f"grounding_recall@{FOUND:g}": _ratio(map(grounding_sums, images))}),
    )
    found: list[Measured] = []
    for unit, holds, figures in kinds:
        measured = pairs.where(holds)
        if len(measured):
            old, new = figures(measured.before), figures(measured.after)
            found += [
                Measured(unit=unit, metric=name, before=round(old[name], 4), after=round(new[name], 4)) for name in old
            ]
    return tuple(found)


# ------------------------------------------------------------------------------------------- figures of one image


def found_counts(compared: ComparedImage) -> Counts:
    """Boxes of gold that are found under their name."""
    return count_matches(boxes_of(compared.image.regions), compared.gold.regions, min_iou=FOUND)


def mask_sums(compared: ComparedImage) -> tuple[float, int]:
    """Sum of IoUs over the masks of gold, and their number. A mask whose region is not found, or has none, counts 0."""
    regions = compared.image.regions
    near = match_boxes(boxes_of(regions).xyxy, compared.gold.regions.xyxy, min_iou=FOUND)
    region_of = {b: regions[a].id for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)}
    masks = [
        (compared.dependents.masks.get(region_of.get(row, ""), ()), true)
        for row, true in enumerate(compared.gold.masks)
    ]
    ious = [mask_iou(mine, true, compared.image.image_wh) for mine, true in masks if true]
    return sum(ious), len(ious)


def grounding_sums(compared: ComparedImage) -> tuple[int, int]:
    """Phrases of gold that are found, and all."""
    counts = grounding_recall(compared.dependents.phrases, compared.gold.phrases, min_iou=FOUND)
    return counts.matched, counts.gold


def ciders(images: Sequence[ComparedImage]) -> Floats:
    """(n,) mean CIDEr of the brief texts of each image."""
    texts = [(row, text) for row, one in enumerate(images) for text in one.briefs]
    rows = np.array([row for row, _ in texts], dtype=np.int64)
    scores = cider([text for _, text in texts], [images[row].gold.texts for row in rows])
    mean: Floats = np.bincount(rows, weights=scores, minlength=len(images)) / np.bincount(rows, minlength=len(images))
    return mean


def _character_error(images: Sequence[ComparedImage]) -> float:
    """Over all scene text of gold, what is read where it stands; nothing where nothing is read there."""
    pairs: list[tuple[str, str]] = []
    for one in images:
        near = match_boxes(one.dependents.read.xyxy, one.gold.read.xyxy, min_iou=FOUND)
        read = {b: one.dependents.read.labels[a] for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)}
        pairs += [(read.get(row, ""), true) for row, true in enumerate(one.gold.read.labels)]
    return character_error_rate([mine for mine, _ in pairs], [true for _, true in pairs])


def _box_figures(images: Sequence[ComparedImage]) -> dict[str, float]:
    boxes, true = [boxes_of(one.image.regions) for one in images], [one.gold.regions for one in images]
    found: dict[str, float] = {}
    for iou in IOUS:
        counts = sum((count_matches(a, b, min_iou=iou) for a, b in zip(boxes, true, strict=True)), Counts())
        found |= {f"precision@{iou:g}": counts.precision, f"recall@{iou:g}": counts.recall, f"f1@{iou:g}": counts.f1}
    return found | average_precision(boxes, true)


def _ratio(sums: Iterable[tuple[float, int]]) -> float:
    rows = list(sums)
    return sum(part for part, _ in rows) / sum(whole for _, whole in rows)


# ----------------------------------------------------------------------------------------------------------- edits


class EditsMeasured(Frozen):
    """Edits of a unit on images that have gold of that kind, and how many of them came closer to it."""

    unit: Unit
    num_edits: int
    num_closer: int


def measure_edits(pairs: BeforeAfter) -> tuple[EditsMeasured, ...]:
    """Judge every label that was added, removed or changed, unit by unit; labels keep their ids through a round.

    A region came closer where its `closeness` grew, a brief text where its CIDEr did.
    """
    judged: tuple[tuple[Unit, list[bool]], ...] = (
        ("regions", _regions_closer(pairs.where(has_regions))),
        ("texts", _texts_closer(pairs.where(lambda compared: compared.gold.texts))),
    )
    return tuple(EditsMeasured(unit=unit, num_edits=len(closer), num_closer=sum(closer)) for unit, closer in judged)


def _regions_closer(pairs: BeforeAfter) -> list[bool]:
    return [
        closeness(new, before.gold.regions) > closeness(old, before.gold.regions)
        for before, after in zip(*pairs, strict=True)
        for old, new in _changed(before.image.regions, after.image.regions)
    ]


def _texts_closer(pairs: BeforeAfter) -> list[bool]:
    """Both sides are scored together, so that words have the same frequencies; a text that is not there scores 0."""
    texts = [
        (side, text, one.gold.texts)
        for side, images in enumerate(pairs)
        for one in images
        for text in one.image.texts
        if text.granularity == "brief"
    ]
    scores = cider([text.text for _, text, _ in texts], [gold for _, _, gold in texts])
    found = {(side, text.id): (text.text, score) for (side, text, _), score in zip(texts, scores.tolist(), strict=True)}
    sides = [[found.get((side, i), ("", 0.0)) for side in (0, 1)] for i in dict.fromkeys(i for _, i in found)]
    return [new > old for (was, old), (now, new) in sides if was != now]


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
    return 0.5 * same_name(truth.labels[best], label.label) + 0.5 * float(overlaps[best])


def _changed(
    before: Sequence[RegionLabel], after: Sequence[RegionLabel]
) -> list[tuple[RegionLabel | None, RegionLabel | None]]:
    """(old, new) of every label whose name or box changed, None where there is none."""
    old, new = ({region.id: region for region in regions} for regions in (before, after))
    pairs = ((old.get(i), new.get(i)) for i in dict.fromkeys([*old, *new]))
    return [(a, b) for a, b in pairs if a is None or b is None or (a.label, a.box_xyxy) != (b.label, b.box_xyxy)]
