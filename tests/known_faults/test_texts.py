"""Words in other scripts: what could not be asked is taken for an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from fld_engine.refinement.labels.image import LabelledImage, RegionLabel
from fld_engine.refinement.merge.regions import merge_regions
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.refinement.student.image_features import ImageFeatures
from fld_engine.refinement.student.judging import judge
from fld_engine.refinement.student.scoring import NOT_ASKED, Regions, Scorer
from fld_engine.schemas.target_language import normalise_label


class UndecidedScorer(Scorer):
    """Stands for a student that finds every candidate name equally likely, and is sure of places that it can say."""

    def __init__(self) -> None:
        super().__init__(cast(ImageFeatures, None))

    def boxes(self, asked: Sequence[Regions]) -> list[list[float]]:
        return [[0.9 if normalise_label(name) else NOT_ASKED for name in group.labels] for group in asked]

    def names(self, asked: Sequence[Regions], candidates: Sequence[Sequence[str]]) -> list[list[Mapping[str, float]]]:
        return [
            [dict.fromkeys(names, 1 / len(names)) for _ in group.labels]
            for group, names in zip(asked, candidates, strict=True)
        ]

    def texts(self, asked: Sequence[object]) -> list[float]:
        return []


NAMES = ["김밥", "cat", "dog"]


def scored(label: RegionLabel) -> tuple[RegionLabel, ...]:
    """The labels of an image of one region as a round scores them."""
    image = LabelledImage(id="image", image_wh=(100, 100), regions=(label,), twin_group="image")
    (judged,) = judge(UndecidedScorer(), [image], NAMES, [("", "")], round_=1)
    return judged.old


def test_a_name_that_could_not_be_asked_stays() -> None:
    """The target language cannot say Hangul, so no student was asked about 김밥: nothing speaks against it.

    Today whatever it was asked instead, here a cat at one half, is likelier than a name of probability 0: a round
    renames every region of a dataset that is labelled in Korean, and counts that as its repairs.
    """
    label = RegionLabel("r1", (10.0, 10.0, 60.0, 60.0), "김밥", 0.95, 0.95)
    merged = merge_regions("image", scored(label), [], MergeRules())
    assert [(edit.what, edit.old, edit.new) for edit in merged.edits] == []
    assert [one.label for one in merged.labels] == ["김밥"]
