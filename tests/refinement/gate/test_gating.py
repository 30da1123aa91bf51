"""A round over partitions is the round in memory."""

from __future__ import annotations

import pytest

from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.gate.gating import JudgedPartition, decide_round, edits_of
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.merge.rules import MergeRules
from tests.refinement.judges import TRUTH, gold, honest, images


def judged(every: list[LabelledImage]) -> dict[str, Judgement]:
    return dict(honest(TRUTH)(every))


def partitions(size: int = 50) -> list[JudgedPartition]:
    every, truth, thought = images(), gold(), judged(images())
    return [
        JudgedPartition(part, {i.id: thought[i.id] for i in part}, {i.id: truth[i.id] for i in part if i.gold_split})
        for part in (every[start : start + size] for start in range(0, len(every), size))
    ]


@pytest.mark.long
def test_partition_by_partition_gives_the_edits_of_all_at_once() -> None:
    rules = MergeRules()
    (everything,) = partitions(size=len(images()))
    whole = decide_round([everything], merge=rules, gate=GateRules(), round_=1, seed=0)
    decision = decide_round(partitions(), merge=rules, gate=GateRules(), round_=1, seed=0)
    assert decision == whole
    assert decision.accepted == {"regions", "texts"}
    merging = decision.merge_decision(rules)
    edits = [edit for partition in partitions() for edit in edits_of(partition.images, partition.judged, merging)]
    assert edits == edits_of(everything.images, everything.judged, merging)
    assert len(edits) > 100


def test_an_image_whose_student_failed_keeps_its_labels() -> None:
    rules = MergeRules()
    merging = decide_round(partitions(), merge=rules, gate=GateRules(), round_=1, seed=0).merge_decision(rules)
    first = partitions()[0]
    lost = next(iter(edits_of(first.images, first.judged, merging))).image_id
    without = {k: v for k, v in first.judged.items() if k != lost}
    assert lost not in {edit.image_id for edit in edits_of(first.images, without, merging)}


def test_every_figure_is_told_before_and_after() -> None:
    decision = decide_round(partitions(), merge=MergeRules(), gate=GateRules(), round_=1, seed=0)
    figures = {figure.metric: (figure.before, figure.after) for figure in decision.measured}
    assert set(figures) == {
        *(f"{name}@{iou}" for name in ("precision", "recall", "f1") for iou in (0.5, 0.75)),
        "ap", "ap50", "ap75", "cider",
    }  # fmt: skip
    assert all(after > before for before, after in figures.values())
    regions, texts = decision.gates
    assert figures["f1@0.5"] == (regions.before, regions.after)
    assert figures["cider"] == (texts.before, texts.after)
    assert [edits.unit for edits in decision.edits_measured] == ["regions", "texts"]
    for edits in decision.edits_measured:
        assert edits.num_edits > 5
        assert edits.num_closer / edits.num_edits > 0.95
