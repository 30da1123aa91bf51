"""Gold images on which people found nothing: what labels claim to be there is wrong, and counts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fld_engine.refinement.gate.before_after import before_after
from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.gate.measured import measure, measure_edits
from fld_engine.refinement.gate.units import judge_gates
from fld_engine.refinement.labels.boxes import NO_BOXES, Boxes
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.merge.calibration import calibrate

BOX = (10.0, 10.0, 60.0, 60.0)
RULES = GateRules(num_resamples=200)
EMPTY = Gold(NO_BOXES)
DRAWN = Gold(Boxes(np.array([BOX]), ["cat"]))
WRITTEN = Gold(NO_BOXES, texts=("a cat",))


def image(identity: str, *, labelled: bool = True) -> LabelledImage:
    regions = (RegionLabel(f"{identity} r", BOX, "cat", 0.9, 0.9),) if labelled else ()
    return LabelledImage(identity, identity, (100, 100), regions, (), "gate")


def gate_of(gold: Sequence[Gold], *, empty_before: bool, empty_after: bool):  # type: ignore[no-untyped-def]
    """Every image of drawn gold is right before and after; those of other gold have a box or none."""
    ids = [str(i) for i in range(len(gold))]
    sides = [
        [image(i, labelled=truth is DRAWN or claimed) for i, truth in zip(ids, gold, strict=True)]
        for claimed in (empty_before, empty_after)
    ]
    return before_after(*sides, dict(zip(ids, gold, strict=True)))


def test_false_boxes_on_empty_images_cost_precision() -> None:
    pairs = gate_of([DRAWN] * 20 + [EMPTY] * 20, empty_before=False, empty_after=True)
    figures = {figure.metric: (figure.before, figure.after) for figure in measure(pairs)}
    assert figures["precision@0.5"] == (1.0, 0.5)
    assert figures["recall@0.5"] == (1.0, 1.0)
    regions, _ = judge_gates(pairs, RULES, seed=0)
    assert (regions.num_images, regions.before, regions.after) == (40, 1.0, 0.6667)
    assert not regions.accepted


def test_taking_false_boxes_away_is_a_gain() -> None:
    pairs = gate_of([DRAWN] * 20 + [EMPTY] * 20, empty_before=True, empty_after=False)
    regions, _ = judge_gates(pairs, RULES, seed=0)
    assert regions.accepted
    (edits, _) = measure_edits(pairs)
    assert (edits.num_edits, edits.num_closer) == (20, 20)


def test_an_image_of_which_people_wrote_alone_is_not_empty() -> None:
    """Nobody was asked what is on it: a box on it may well be right."""
    regions, _ = judge_gates(
        gate_of([DRAWN] * 12 + [WRITTEN] * 12, empty_before=False, empty_after=True), RULES, seed=0
    )
    assert (regions.num_images, regions.after) == (12, 1.0)


def test_leaving_dependents_out_makes_nothing_empty() -> None:
    read = Gold(NO_BOXES, read=Boxes(np.array([BOX]), ["OPEN"]))
    assert not read.judges_regions
    assert not read.without_dependents().judges_regions
    assert EMPTY.without_dependents().judges_regions


def test_scores_are_calibrated_on_empty_images_too() -> None:
    """A source that sees cats where there are none is not sure of what it says."""
    images = [
        LabelledImage(str(i), str(i), (100, 100), (RegionLabel(f"r{i}", BOX, "cat", 0.9, 0.9),), (), "calibrate")
        for i in range(40)
    ]
    judged = {one.id: Judgement(one.regions, (), (), ()) for one in images}
    gold = {one.id: DRAWN if i % 4 == 0 else EMPTY for i, one in enumerate(images)}
    (objects,) = [c for c in calibrate(images, judged, gold) if (c.source, c.family) == ("labels", "objects")]
    assert objects.apply([0.9])[0] == 0.25
