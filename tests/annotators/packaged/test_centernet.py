"""The opt-in second detector sees the same objects as the first, in the same form."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.assets.prepare import pull
from fld_engine.annotators.packaged.centernet import CenterNet
from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.plan.protocols import Annotator
from tests.annotators.photographs import photograph, sample, voc_photograph


@pytest.fixture(scope="module")
def detector() -> CenterNet:
    pull(["centernet"], lambda line: None)  # not part of the default models
    detector = CenterNet()
    detector.load()
    return detector


def test_its_unknown_licence_is_said() -> None:
    assert isinstance(CenterNet(), Annotator)
    assert "not stated" in CenterNet.model.licence


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("astronaut.png", "person"), ("chelsea.png", "cat"), ("coffee.png", "cup"), ("motorcycle_left.png", "motorcycle")],
)
def test_it_names_the_subject_of_a_photograph(detector: CenterNet, name: str, phrase: str) -> None:
    (annotations,) = detector.annotate([sample(photograph(name))])
    assert annotations.regions[0].texts[0].text == phrase


def test_its_boxes_agree_with_people(detector: CenterNet) -> None:
    pixels, boxes_xyxy, truth, _ = voc_photograph()
    (annotations,) = detector.annotate([sample(pixels)])
    sure = [region for region in annotations.regions if region.score >= 0.35]
    overlaps = pairwise_iou(boxes_xyxy, np.array([region.box_xyxy for region in sure]))
    same = np.array([[phrase == region.texts[0].text for region in sure] for phrase in truth])
    assert ((overlaps >= 0.5) & same).any(axis=1).mean() >= 0.4


def test_a_tall_photograph_keeps_its_proportions(detector: CenterNet) -> None:
    """The upper body of the astronaut stands in the left half, from the top edge to the bottom."""
    (annotations,) = detector.annotate([sample(np.ascontiguousarray(photograph("astronaut.png")[:, :380]))])
    x1, y1, x2, y2 = annotations.regions[0].box_xyxy
    assert annotations.regions[0].texts[0].text == "person"
    assert x1 < 60
    assert y1 < 60
    assert x2 > 320
    assert y2 > 450
