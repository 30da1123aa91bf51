"""Every figure of a unit on gold, before and after a round: what the gate decides on, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from fld_engine.engine.geometry import Floats, pairwise_iou
from fld_engine.refinement.gate.before_after import (
    Said,
    Trial,
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

FAR = 0.1
"""Overlap with whatever is nearest under which a box is about nothing."""
FOUND = IOUS[0]
"""A box that overlaps one of gold by this is about the same thing: its mask and its read text are compared."""


class Measured(Frozen):
    """One figure of a unit; higher is better, but for `character_error`."""

    unit: Unit
    metric: str
    before: float
    after: float


def measure(trial: Trial) -> tuple[Measured, ...]:
    """Precision, recall, F1 at both IoUs and COCO average precision; IoU of masks; character error; CIDEr; grounding.

    What gold says nothing about has no figure.
    """
    kinds: tuple[tuple[Unit, Callable[[Said], bool], Callable[[Sequence[Said]], dict[str, float]]], ...] = (
        ("regions", has_regions, _box_figures),
        ("regions", has_masks, lambda said: {"mask_iou": _ratio(map(mask_sums, said))}),
        ("regions", has_read, lambda said: {"character_error": _character_error(said)}),
        ("texts", has_briefs, lambda said: {"cider": float(ciders(said).mean())}),
        ("texts", has_phrases, lambda said: {f"grounding_recall@{FOUND:g}": _ratio(map(grounding_sums, said))}),
    )
    found: list[Measured] = []
    for unit, speaks, figures in kinds:
        told = trial.where(speaks)
        if len(told):
            old, new = figures(told.before), figures(told.after)
            found += [
                Measured(unit=unit, metric=name, before=round(old[name], 4), after=round(new[name], 4)) for name in old
            ]
    return tuple(found)


# ------------------------------------------------------------------------------------------- figures of one image


def found_counts(said: Said) -> Counts:
    """Boxes of gold that are found under their name."""
    return count_matches(boxes_of(said.image.regions), said.gold.regions, min_iou=FOUND)


def mask_sums(said: Said) -> tuple[float, int]:
    """Sum of IoUs over the masks of gold, and their number. A mask whose region is not found, or has none, counts 0."""
    regions = said.image.regions
    near = match_boxes(boxes_of(regions).xyxy, said.gold.regions.xyxy, min_iou=FOUND)
    region_of = {b: regions[a].id for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)}
    masks = [(said.attached.masks.get(region_of.get(row, ""), ()), true) for row, true in enumerate(said.gold.masks)]
    ious = [mask_iou(mine, true, said.image.image_wh) for mine, true in masks if true]
    return sum(ious), len(ious)


def grounding_sums(said: Said) -> tuple[int, int]:
    """Phrases of gold that are found, and all."""
    counts = grounding_recall(said.attached.phrases, said.gold.phrases, min_iou=FOUND)
    return counts.matched, counts.gold


def ciders(said: Sequence[Said]) -> Floats:
    """(n,) mean CIDEr of the brief texts of each image."""
    texts = [(row, text) for row, one in enumerate(said) for text in one.briefs]
    rows = np.array([row for row, _ in texts], dtype=np.int64)
    scores = cider([text for _, text in texts], [said[row].gold.texts for row in rows])
    mean: Floats = np.bincount(rows, weights=scores, minlength=len(said)) / np.bincount(rows, minlength=len(said))
    return mean


def _character_error(said: Sequence[Said]) -> float:
    """Over all scene text of gold, what is read where it stands; nothing where nothing is read there."""
    pairs: list[tuple[str, str]] = []
    for one in said:
        near = match_boxes(one.attached.read.xyxy, one.gold.read.xyxy, min_iou=FOUND)
        read = {b: one.attached.read.labels[a] for a, b in zip(near.a.tolist(), near.b.tolist(), strict=True)}
        pairs += [(read.get(row, ""), true) for row, true in enumerate(one.gold.read.labels)]
    return character_error_rate([mine for mine, _ in pairs], [true for _, true in pairs])


def _box_figures(said: Sequence[Said]) -> dict[str, float]:
    boxes, true = [boxes_of(one.image.regions) for one in said], [one.gold.regions for one in said]
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
    """Edits of a unit on images of which gold says something of that kind, and how many of them came closer to it."""

    unit: Unit
    num_edits: int
    num_closer: int


def measure_edits(trial: Trial) -> tuple[EditsMeasured, ...]:
    """Judge every label that was added, removed or changed, unit by unit; labels keep their ids through a round.

    A region came closer where its `closeness` grew, a brief text where its CIDEr did.
    """
    judged: tuple[tuple[Unit, list[bool]], ...] = (
        ("regions", _regions_closer(trial.where(has_regions))),
        ("texts", _texts_closer(trial.where(lambda said: said.gold.texts))),
    )
    return tuple(EditsMeasured(unit=unit, num_edits=len(closer), num_closer=sum(closer)) for unit, closer in judged)


def _regions_closer(trial: Trial) -> list[bool]:
    return [
        closeness(new, before.gold.regions) > closeness(old, before.gold.regions)
        for before, after in zip(*trial, strict=True)
        for old, new in _changed(before.image.regions, after.image.regions)
    ]


def _texts_closer(trial: Trial) -> list[bool]:
    """Both sides are scored together, so that words have the same frequencies; a text that is not there scores 0."""
    told = [
        (side, text, one.gold.texts)
        for side, said in enumerate(trial)
        for one in said
        for text in one.image.texts
        if text.granularity == "brief"
    ]
    scores = cider([text.text for _, text, _ in told], [gold for _, _, gold in told])
    found = {(side, text.id): (text.text, score) for (side, text, _), score in zip(told, scores.tolist(), strict=True)}
    pairs = [[found.get((side, i), ("", 0.0)) for side in (0, 1)] for i in dict.fromkeys(i for _, i in found)]
    return [new > old for (was, old), (now, new) in pairs if was != now]


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
