"""A round over partitions is the round in memory."""

from __future__ import annotations

import pytest

from fld_engine.refinement.dataset import LabelledImage
from fld_engine.refinement.judging import Judgement
from fld_engine.refinement.round import RoundRules
from fld_engine.refinement.settle import JudgedPartition, edits_of, final_figures, final_of, settle, survey_of
from tests.refinement.test_round import TRUTH, gold, honest, images


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
    rules = RoundRules()
    (everything,) = partitions(size=len(images()))
    whole = settle([everything], rules, round_=1, seed=0)
    settlement = settle(partitions(), rules, round_=1, seed=0)
    assert settlement == whole
    assert settlement.accepted == {"regions", "texts"}
    ruling = settlement.ruling(rules.merge)
    edits = [edit for partition in partitions() for edit in edits_of(partition.images, partition.judged, ruling)]
    assert edits == edits_of(everything.images, everything.judged, ruling)
    assert len(edits) > 100


def test_an_image_whose_student_failed_keeps_its_labels() -> None:
    rules = RoundRules()
    ruling = settle(partitions(), rules, round_=1, seed=0).ruling(rules.merge)
    first = partitions()[0]
    lost = next(iter(edits_of(first.images, first.judged, ruling))).image_id
    without = {k: v for k, v in first.judged.items() if k != lost}
    assert lost not in {edit.image_id for edit in edits_of(first.images, without, ruling)}


def test_final_figures_are_those_of_the_final_split() -> None:
    final = final_of(images(), gold())
    assert len(final) == sum(image.gold_split == "final" for image in images()) > 20
    figures = final_figures(final, final)
    assert 0 < figures["f1@0.5"][0] == figures["f1@0.5"][1] < 1, "the labels are noisy"


def test_a_survey_leaves_gold_images_out() -> None:
    found = survey_of(images())
    assert found.num_images == sum(not image.gold_split for image in images()) < len(images())
    assert sum(found.areas) == sum(len(image.regions) for image in images() if not image.gold_split)


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
    assert [edits.unit for edits in settlement.edits_measured] == ["regions", "texts"]
    for edits in settlement.edits_measured:
        assert edits.num_edits > 5
        assert edits.num_closer / edits.num_edits > 0.95
