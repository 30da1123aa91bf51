"""A round over partitions is the round in memory."""

from __future__ import annotations

from refinement.dataset import LabelledImage
from refinement.judging import Judgement
from refinement.round import RoundRules
from refinement.settle import JudgedPartition, Survey, edits_of, final_figures, settle
from tests.refinement.test_round import TRUTH, gold, honest, images


def judged(every: list[LabelledImage]) -> dict[str, Judgement]:
    return dict(honest(TRUTH)(every))


def partitions(size: int = 50) -> list[JudgedPartition]:
    every, truth, thought = images(), gold(), judged(images())
    return [
        JudgedPartition(part, {i.id: thought[i.id] for i in part}, {i.id: truth[i.id] for i in part if i.gold_split})
        for part in (every[start : start + size] for start in range(0, len(every), size))
    ]


def test_partition_by_partition_gives_the_edits_of_all_at_once() -> None:
    rules = RoundRules()
    (everything,) = partitions(size=len(images()))
    whole = settle([everything], rules, round_=1, seed=0)
    settlement = settle(partitions(), rules, round_=1, seed=0)
    assert settlement == whole
    assert settlement.accepted == {"regions", "texts"}
    edits = [edit for partition in partitions() for edit in edits_of(partition, settlement, rules)]
    assert edits == edits_of(everything, whole, rules)
    assert len(edits) > 100


def test_an_image_whose_student_failed_keeps_its_labels() -> None:
    rules = RoundRules()
    settlement = settle(partitions(), rules, round_=1, seed=0)
    first = partitions()[0]
    lost = next(iter(edits_of(first, settlement, rules))).image_id
    without = JudgedPartition(first.images, {k: v for k, v in first.judged.items() if k != lost}, first.gold)
    assert lost not in {edit.image_id for edit in edits_of(without, settlement, rules)}


def test_the_final_split_is_read_only_when_it_is_time() -> None:
    early, late = Survey(), Survey()
    early.add(images(), gold(), with_final=False)
    late.add(images(), gold(), with_final=True)
    assert early.final == {}
    assert len(late.final) == sum(image.gold_split == "final" for image in images()) > 20
    figures = final_figures(late, late)
    assert 0 < figures["f1@0.5"][0] == figures["f1@0.5"][1] < 1, "the labels are noisy"
    assert early.portrait() == late.portrait()
    assert early.num_images == sum(not image.gold_split for image in images())


def test_every_figure_is_told_before_and_after() -> None:
    settlement = settle(partitions(), RoundRules(), round_=1, seed=0)
    figures = {figure.metric: (figure.before, figure.after) for figure in settlement.measured}
    assert set(figures) == {
        *(f"{name}@{iou}" for name in ("precision", "recall", "f1") for iou in (0.5, 0.75)),
        "ap", "ap50", "ap75", "cider",
    }  # fmt: skip
    assert all(after > before for before, after in figures.values())
    regions, texts = settlement.gates
    assert figures["f1@0.5"] == (regions.before, regions.after)
    assert figures["cider"] == (texts.before, texts.after)
    assert settlement.edits_measured.num_edits > 30
    assert settlement.edits_measured.num_closer / settlement.edits_measured.num_edits > 0.95
