"""Merge the regions of one image with what a student saw on it.

Every label of the last round ends in one of four ways: it is a person's and stays; the student found it, and its box
and name are reconciled; the student did not find it but scores it as likely, under this name or another, and it stays;
or it is dropped. What only the student found is admitted where it is right often enough.

What could not be asked is no evidence: a label stays as it is in all that no student has scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.refinement.labels.image import Box, RegionLabel
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.labels.matching import match_boxes, same_labels
from fld_engine.refinement.merge.rules import (
    ADMITTED,
    BETTER_BOX,
    MORE_LIKELY,
    UNSUPPORTED,
    MergeRules,
    fuse_boxes,
    should_admit,
    should_drop,
    should_move,
    should_relabel,
)
from fld_engine.schemas.names import same_name


@dataclass(frozen=True, slots=True)
class MergedRegions:
    """The labels of the next round, old ones first in their order, and what changed."""

    labels: tuple[RegionLabel, ...]
    edits: tuple[Edit, ...]


def merge_regions(
    image_id: str, old: Sequence[RegionLabel], seen: Sequence[RegionLabel], rules: MergeRules
) -> MergedRegions:
    """Reconcile the labels of one image with what the student of another fold `seen` on it."""
    partner = _partners(old, seen, rules)
    merged: list[RegionLabel] = []
    edits: list[Edit] = []
    for row, label in enumerate(old):
        if label.protected:
            merged.append(label)
            continue
        if row in partner:
            kept, changes = _reconcile(image_id, label, seen[partner[row]], rules)
        else:
            kept, changes = _rename(image_id, label, rules)
            if label.place_asked and label.name_asked and should_drop(kept.p * kept.p_label, rules):
                edits.append(_removed(image_id, label))
                continue
        merged.append(kept)
        edits.extend(changes)
    matched = set(partner.values())
    for row, found in enumerate(seen):
        if row in matched or not (found.place_asked and found.name_asked):
            continue
        if should_admit(found.p * found.p_label, rules) and not _covered(found, merged, rules):
            merged.append(found)
            edits.append(_added(image_id, found))
    return MergedRegions(tuple(merged), tuple(edits))


def _partners(old: Sequence[RegionLabel], seen: Sequence[RegionLabel], rules: MergeRules) -> dict[int, int]:
    """Row of `old` → row of `seen` that is the same thing: by place alone, then what is left by name and place."""
    near = match_boxes(_boxes(old), _boxes(seen), min_iou=rules.match_iou)
    partner = dict(zip(near.a.tolist(), near.b.tolist(), strict=True))
    taken = set(partner.values())
    left = [row for row in range(len(old)) if row not in partner and not old[row].protected]
    right = [row for row in range(len(seen)) if row not in taken]
    same = same_labels([old[row].label for row in left], [seen[row].label for row in right])
    far = match_boxes(
        _boxes([old[row] for row in left]), _boxes([seen[row] for row in right]), min_iou=rules.jitter_iou, same=same
    )
    return partner | {left[a]: right[b] for a, b in zip(far.a.tolist(), far.b.tolist(), strict=True)}


def _reconcile(
    image_id: str, label: RegionLabel, found: RegionLabel, rules: MergeRules
) -> tuple[RegionLabel, list[Edit]]:
    """An old label and the student's for the same thing: the likelier name, the likelier place."""
    kept, edits = _rename(image_id, label, rules)
    iou = float(pairwise_iou(_boxes([label]), _boxes([found]))[0, 0])
    if label.place_asked and found.place_asked and should_move(iou, label.p, found.p, rules):
        weights = np.array([label.p]), np.array([found.p])
        box: Box = tuple(fuse_boxes(_boxes([label]), _boxes([found]), *weights)[0].tolist())
        edits.append(
            Edit(
                unit="regions",
                image_id=image_id,
                table="regions",
                annotation_id=label.id,
                what="moved",
                old={"box": label.box_xyxy},
                new={"box": box},
                why=BETTER_BOX,
                p_old=label.p,
                p_new=found.p,
            )
        )
        kept = replace(kept, box_xyxy=box)
    return replace(kept, p=max(label.p, found.p)), edits


def _rename(image_id: str, label: RegionLabel, rules: MergeRules) -> tuple[RegionLabel, list[Edit]]:
    runner_up, p_runner_up = label.runner_up, label.p_runner_up
    if not label.name_asked or not runner_up or same_name(runner_up, label.label):
        return label, []
    if not should_relabel(label.p_label, p_runner_up, rules):
        return label, []
    edit = Edit(
        unit="regions",
        image_id=image_id,
        table="region_texts",
        annotation_id=label.id,
        what="relabelled",
        old={"label": label.label},
        new={"label": runner_up},
        why=MORE_LIKELY,
        p_old=label.p_label,
        p_new=p_runner_up,
    )
    return replace(label, label=runner_up, p_label=p_runner_up), [edit]


def _removed(image_id: str, label: RegionLabel) -> Edit:
    return Edit(
        unit="regions",
        image_id=image_id,
        table="regions",
        annotation_id=label.id,
        what="removed",
        old={"box": label.box_xyxy, "label": label.label},
        why=UNSUPPORTED,
        p_old=label.p * label.p_label,
    )


def _added(image_id: str, found: RegionLabel) -> Edit:
    return Edit(
        unit="regions",
        image_id=image_id,
        table="regions",
        annotation_id=found.id,
        what="added",
        new={"box": found.box_xyxy, "label": found.label},
        why=ADMITTED,
        p_new=found.p * found.p_label,
    )


def _covered(found: RegionLabel, labels: Sequence[RegionLabel], rules: MergeRules) -> bool:
    """Whether a label already stands where the student saw something."""
    if not labels:
        return False
    return bool(pairwise_iou(_boxes([found]), _boxes(labels)).max() >= rules.duplicate_iou)


def _boxes(labels: Sequence[RegionLabel]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.array([label.box_xyxy for label in labels], dtype=np.float64).reshape(-1, 4)
