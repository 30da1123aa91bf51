"""Boxes with scores become regions that are valid, bounded and in one order."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.annotators.common.coco_classes import COCO_CLASSES, PERSON
from fld_engine.annotators.common.detections import DetectorParams, object_regions

coordinate = st.floats(-50, 150, width=32)
box = st.tuples(coordinate, coordinate, coordinate, coordinate)
detection = st.tuples(box, st.integers(1, 10), st.integers(0, 3))


def regions_of(detections: list[tuple[tuple[float, ...], int, int]], params: DetectorParams | None = None) -> list[str]:
    boxes = np.array([b for b, _, _ in detections], dtype=np.float64).reshape(-1, 4)
    scores = np.array([score / 10 for _, score, _ in detections])
    classes = np.array([class_ for _, _, class_ in detections], dtype=np.int64)
    found = object_regions(boxes, scores, classes, (100, 80), params or DetectorParams())
    return [region.model_dump_json() for region in found]


def test_the_classes_are_those_of_coco() -> None:
    """A shifted list would name every object after its neighbour; three landmarks of the published order."""
    assert len(set(COCO_CLASSES)) == 80
    assert (COCO_CLASSES.index(PERSON), COCO_CLASSES.index("cat"), COCO_CLASSES.index("toothbrush")) == (0, 15, 79)


@given(st.lists(detection, max_size=12), st.randoms(use_true_random=False))
def test_any_boxes_give_valid_regions_in_an_order_of_their_own(
    detections: list[tuple[tuple[float, ...], int, int]], random: Random
) -> None:
    """Reversed, empty and outside boxes are the network's to give; `Region` itself refuses what may not be stored."""
    shuffled = list(detections)
    random.shuffle(shuffled)
    assert regions_of(detections) == regions_of(shuffled)


def test_copies_go_and_overlapping_neighbours_stay() -> None:
    detections = [((0.0, 0.0, 50.0, 50.0), 9, 0), ((0.0, 0.0, 50.0, 48.0), 8, 0), ((0.0, 0.0, 50.0, 30.0), 7, 0)]
    assert len(regions_of(detections)) == 2  # IoU with the first: 0.96 and 0.6
    assert len(regions_of([*detections, ((0.0, 0.0, 50.0, 48.0), 8, 1)])) == 3  # another class is no copy


def test_the_strongest_survive_the_limit() -> None:
    detections = [((10.0 * i, 0.0, 10.0 * i + 8, 8.0), i + 1, 0) for i in range(6)]
    kept = regions_of(detections, DetectorParams(max_regions=2))
    assert len(kept) == 2
    assert '"score":0.6' in kept[0]
    assert '"score":0.5' in kept[1]
