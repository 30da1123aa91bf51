"""A round with judges whose eyes we know: one that sees the truth, one that sees nothing, one that is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from benchmarks.refinement.accounting import account
from benchmarks.refinement.labels import boxes_of, unlabelled
from fld_engine.refinement.gate.gate import GateDecision, GateRules
from fld_engine.refinement.gate.gating import JudgedPartition, decide_round, edits_of
from fld_engine.refinement.labels.gold import Gold, gold_split_of
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.merge.calibration import Calibration
from fld_engine.refinement.merge.image import merge_image
from fld_engine.refinement.merge.rules import MergeRules
from tests.refinement.judges import NOISY, TRUTH, gold, honest, images


@dataclass(frozen=True)
class Result:
    """Labels after a round, the edits that led there, those that were proposed, and the grounds."""

    images: tuple[LabelledImage, ...]
    edits: tuple[Edit, ...]
    proposed: tuple[Edit, ...]
    calibrations: tuple[Calibration, ...]
    gates: tuple[GateDecision, ...]


def run(judge, num_gold: int = 120, truth: Mapping[str, Gold] | None = None) -> Result:  # type: ignore[no-untyped-def]
    return decided(images(num_gold), gold(num_gold) if truth is None else truth, judge)


def decided(every: Sequence[LabelledImage], truth: Mapping[str, Gold], judge) -> Result:  # type: ignore[no-untyped-def]
    """One partition of all images."""
    rules, judged = MergeRules(), judge(every)
    partition = JudgedPartition(every, judged, truth)
    decision = decide_round([partition], merge=rules, gate=GateRules(), round_=1, seed=0)
    merged = [merge_image(image, judged[image.id], decision.calibrations, rules) for image in every]
    standing = [
        replace(
            old,
            regions=new.image.regions if "regions" in decision.accepted else old.regions,
            texts=new.image.texts if "texts" in decision.accepted else old.texts,
        )
        for old, new in zip(every, merged, strict=True)
    ]
    proposed = tuple(edit for result in merged for edit in result.edits)
    edits = tuple(edits_of(partition.images, partition.judged, decision.merge_decision(rules)))
    return Result(tuple(standing), edits, proposed, decision.calibrations, decision.gates)


def test_a_student_that_sees_repairs_and_the_gate_lets_it() -> None:
    result = run(honest(TRUTH))
    assert [gate.state for gate in result.gates] == ["better", "better"]
    after = account(NOISY, [unlabelled(image) for image in result.images], TRUTH)
    assert after.f1 > 0.97
    assert after.damaged < 0.01
    assert after.edit_precision > 0.95
    assert all(share > 0.9 for share in after.repaired.values())
    assert result.edits == result.proposed


def test_a_student_that_sees_wrongly_is_refused_and_nothing_changes() -> None:
    """Sabotage: it was taught the labels of other images."""
    result = run(honest([*TRUTH[7:], *TRUTH[:7]]))
    assert [gate.state for gate in result.gates] == ["not_better", "not_better"]
    assert result.images == tuple(images())
    assert result.edits == ()
    assert result.proposed  # it would have changed much


def test_units_are_decided_apart() -> None:
    """Eyes for boxes and a tongue for nonsense: the regions are taken over, the texts are not."""
    babble = [replace(labels, caption="A bar and a bar and a bar.") for labels in TRUTH]
    result = run(honest(babble))
    assert {gate.unit: gate.accepted for gate in result.gates} == {"regions": True, "texts": False}
    assert {edit.unit for edit in result.edits} == {"regions"}
    assert [image.texts for image in result.images] == [image.texts for image in images()]


@pytest.mark.parametrize("num_gold", [0, 3])
def test_without_enough_gold_nothing_is_taken_over_and_that_is_said(num_gold: int) -> None:
    result = run(honest(TRUTH), num_gold)
    assert [gate.state for gate in result.gates] == ["cannot_tell", "cannot_tell"]
    assert {curve.state for curve in result.calibrations} == {"uncalibrated"}
    assert result.images == tuple(images(num_gold))


def test_without_a_curve_of_boxes_nothing_is_removed_or_added() -> None:
    """Gold of twelve images: the scores of this judge are good, but nobody can know."""
    result = run(honest(TRUTH), num_gold=12)
    assert {c.state for c in result.calibrations if c.family == "objects"} == {"uncalibrated"}
    told = {edit.what for edit in result.proposed if edit.unit == "regions"}
    assert "relabelled" in told, "of two names it can still say which it prefers"
    assert told.isdisjoint({"removed", "added"})
    assert {edit.what for edit in run(honest(TRUTH)).proposed} >= {"removed", "added"}


def test_calibration_never_sees_what_the_gate_judges_on() -> None:
    """The same round with other truth on the gate images fits the same curves."""
    judge = honest(TRUTH)
    other = {
        name: replace(truth, texts=("nothing",)) if gold_split_of(name, 0) == "gate" else truth
        for name, truth in gold().items()
    }
    spoiled = {
        name: Gold(boxes_of(TRUTH[int(name) + 1]), truth.texts) if gold_split_of(name, 0) != "calibrate" else truth
        for name, truth in other.items()
    }
    again = run(judge, truth=spoiled)
    assert again.calibrations == run(judge).calibrations


def test_round_without_any_label() -> None:
    """A family with no labels must not stop the other."""
    bare = [replace(image, regions=(), texts=()) for image in images(0)]

    result = decided(bare, {}, lambda every: {image.id: Judgement((), (), (), ()) for image in every})
    assert (result.images, result.edits) == (tuple(bare), ())
