"""A round over partitions is the round in memory."""

from __future__ import annotations

from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.gate.gating import JudgedPartition, edits_of, settle
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


def test_partition_by_partition_gives_the_edits_of_all_at_once() -> None:
    rules = MergeRules()
    (everything,) = partitions(size=len(images()))
    whole = settle([everything], merge=rules, gate=GateRules(), round_=1, seed=0)
    settlement = settle(partitions(), merge=rules, gate=GateRules(), round_=1, seed=0)
    assert settlement == whole
    assert settlement.accepted == {"regions", "texts"}
    ruling = settlement.ruling(rules)
    edits = [edit for partition in partitions() for edit in edits_of(partition.images, partition.judged, ruling)]
    assert edits == edits_of(everything.images, everything.judged, ruling)
    assert len(edits) > 100


def test_an_image_whose_student_failed_keeps_its_labels() -> None:
    rules = MergeRules()
    ruling = settle(partitions(), merge=rules, gate=GateRules(), round_=1, seed=0).ruling(rules)
    first = partitions()[0]
    lost = next(iter(edits_of(first.images, first.judged, ruling))).image_id
    without = {k: v for k, v in first.judged.items() if k != lost}
    assert lost not in {edit.image_id for edit in edits_of(first.images, without, ruling)}


def test_every_figure_is_told_before_and_after() -> None:
    settlement = settle(partitions(), merge=MergeRules(), gate=GateRules(), round_=1, seed=0)
    figures = {figure.metric: (figure.before, figure.after) for figure in settlement.measured}
    assert set(figures) == {
        *(f"{name}@{iou}" for name in ("precision", "recall", "f1") for iou in (0.5, 0.75)),
        "ap", "ap50", "ap75", "cider",
    }  # fmt: skip
    assert all(after > before for before, after in figures.values())
    regions, texts = settlement.gates
    assert figures["f1@0.5"] == (regions.before, regions.after)
    assert figures["cider"] == (texts.before, texts.after)
    assert [edits.unit for edits in settlement.edits_measured] == ["regions", "texts"]
    for edits in settlement.edits_measured:
        assert edits.num_edits > 5
        assert edits.num_closer / edits.num_edits > 0.95
