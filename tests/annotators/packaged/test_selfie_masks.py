"""People get outlines that fit them; nothing else gets one."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from fld_engine.annotators.packaged.selfie_masks import SelfieMasks
from fld_engine.engine.data.geometry import polygon_area
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Mask
from tests.annotators.photographs import object_region, photograph, sample, voc_photograph

ASTRONAUT = (8.0, 9.0, 369.0, 512.0)


@pytest.fixture(scope="module")
def segmenter() -> SelfieMasks:
    segmenter = SelfieMasks()
    segmenter.load()
    return segmenter


def drawn(mask: Mask, shape: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    plane = np.zeros(shape[:2], dtype=np.uint8)
    for polygon in mask.polygons:
        cv2.fillPoly(plane, [np.round(np.reshape(polygon, (-1, 2)) - 0.5).astype(np.int32)], 1)
    return plane > 0


def test_masks_fit_people_better_than_their_boxes(segmenter: SelfieMasks) -> None:
    """Against seven human outlines; the mask is useless where the box alone is as good."""
    pixels, boxes_xyxy, phrases, truth = voc_photograph()
    people = [i for i, phrase in enumerate(phrases) if phrase == "person"]
    regions = [object_region(str(i), tuple(boxes_xyxy[i])) for i in people]
    (annotations,) = segmenter.annotate([sample(pixels, *regions)])
    of_mask, of_box = [], []
    for mask in annotations.masks:
        human = truth[int(mask.subject_id)]
        box = np.zeros_like(human)
        x1, y1, x2, y2 = boxes_xyxy[int(mask.subject_id)].astype(int)
        box[y1:y2, x1:x2] = True
        for plane, ious in ((drawn(mask, pixels.shape), of_mask), (box, of_box)):
            ious.append((plane & human).sum() / (plane | human).sum())
    assert isinstance(segmenter, Annotator)
    assert len(of_mask) >= 5
    assert np.mean(of_mask) > np.mean(of_box) + 0.1


def test_polygons_are_clockwise_inside_the_box_and_scores_are_foreground(segmenter: SelfieMasks) -> None:
    (annotations,) = segmenter.annotate([sample(photograph("astronaut.png"), object_region("a", ASTRONAUT))])
    (mask,) = annotations.masks
    assert mask.subject_id == "a"
    assert 0.5 < mask.score <= 1
    for polygon in mask.polygons:
        xs, ys = np.array(polygon[0::2]), np.array(polygon[1::2])
        assert polygon_area(polygon) > 0
        assert xs.min() >= ASTRONAUT[0]
        assert xs.max() <= ASTRONAUT[2]
        assert ys.min() >= ASTRONAUT[1]
        assert ys.max() <= ASTRONAUT[3]


def test_only_people_are_asked_about(segmenter: SelfieMasks) -> None:
    pixels = photograph("astronaut.png")
    (annotations,) = segmenter.annotate([sample(pixels, object_region("a", ASTRONAUT, phrase="chair"))])
    assert annotations.masks == ()


def test_no_mask_where_there_is_nobody(segmenter: SelfieMasks) -> None:
    """A false person box on a blank wall must not get a scrap of a mask."""
    wall = np.full((300, 300, 3), 128, dtype=np.uint8)
    strict = SelfieMasks(SelfieMasks.Params(min_fill=0.9))
    strict.load()
    (annotations,) = strict.annotate([sample(wall, object_region("a", (20.0, 20.0, 280.0, 280.0)))])
    assert annotations.masks == ()


def test_a_larger_tolerance_gives_fewer_vertices(segmenter: SelfieMasks) -> None:
    one = sample(photograph("astronaut.png"), object_region("a", ASTRONAUT))
    coarse = SelfieMasks(SelfieMasks.Params(tolerance_px=5))
    coarse.load()
    fine_mask, coarse_mask = (which.annotate([one])[0].masks[0] for which in (segmenter, coarse))
    assert len(coarse_mask.polygons[0]) < len(fine_mask.polygons[0]) / 2
    overlap = drawn(fine_mask, one.pixels.shape) & drawn(coarse_mask, one.pixels.shape)  # type: ignore[union-attr]
    assert overlap.sum() > 0.95 * drawn(fine_mask, one.pixels.shape).sum()  # type: ignore[union-attr]


@pytest.mark.parametrize("box", [(0.0, 0.0, 0.4, 0.4), (511.5, 0.0, 512.0, 512.0), (3.2, 7.9, 4.1, 8.2)])
def test_tiny_boxes_do_not_stop_it(segmenter: SelfieMasks, box: tuple[float, float, float, float]) -> None:
    (annotations,) = segmenter.annotate([sample(photograph("astronaut.png"), object_region("a", box))])
    assert len(annotations.masks) <= 1
