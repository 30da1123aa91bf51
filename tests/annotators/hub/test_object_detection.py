"""Detectors through the adapter see what direct use of the library sees."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fld_engine.annotators.hub.object_detection import HubObjectDetector
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Region
from fld_engine.schemas.errors import ModelError
from tests.annotators.hub.checkpoints_chat import build_llava
from tests.annotators.hub.checkpoints_detection import (
    build_deformable_detr,
    build_detr,
    build_dfine,
    build_rtdetr,
)
from tests.annotators.hub.shared import Limited, image_samples, pinned

MIN_SCORE = 0.1


@pytest.fixture(scope="module", params=[build_rtdetr, build_dfine, build_detr, build_deformable_detr])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp("detector"))


def detector(folder: Path, **params: Any) -> HubObjectDetector:
    found = HubObjectDetector(pinned(HubObjectDetector.Params, folder, min_score=MIN_SCORE, nms_iou=1.0, **params))
    found.load()
    return found


def rows(regions: tuple[Region, ...]) -> list[tuple[Any, ...]]:
    return [(region.texts[0].text, region.score, region.box_xyxy) for region in regions]


def direct(folder: Path, pixels: RGB) -> list[tuple[str, float, tuple[float, ...]]]:
    """What the library says of one image, its boxes clipped to the frame."""
    import torch
    from transformers import AutoImageProcessor, AutoModelForObjectDetection

    model = AutoModelForObjectDetection.from_pretrained(folder).eval()
    processor = AutoImageProcessor.from_pretrained(folder)
    height, width = pixels.shape[:2]
    with torch.inference_mode():
        output = model(**processor(images=[pixels], return_tensors="pt"))
    (answer,) = processor.post_process_object_detection(output, threshold=MIN_SCORE, target_sizes=[(height, width)])
    names = {1: "person", 2: "traffic light", 3: "dog", 4: "dining table", 5: "cup"}
    found = []
    for box, score, label in zip(*(answer[k].tolist() for k in ("boxes", "scores", "labels")), strict=True):
        x1, y1, x2, y2 = np.clip(box, 0, [width, height, width, height]).round(2).tolist()
        if label in names and x2 > x1 and y2 > y1:
            found.append((names[label], round(score, 4), (x1, y1, x2, y2)))
    return found


def test_boxes_scores_and_classes_are_those_of_the_library(folder: Path) -> None:
    sample = image_samples([(60, 80)])[0]
    assert sample.pixels is not None
    (found,) = detector(folder).annotate([sample])
    expected = direct(folder, sample.pixels)
    assert len(expected) >= 5
    assert sorted(rows(found.regions)) == sorted(expected)
    assert [r.score for r in found.regions] == sorted((r.score for r in found.regions), reverse=True)


def test_a_batch_of_many_sizes_says_what_each_image_alone_says(folder: Path) -> None:
    """Within 1e-3 of scores and 0.05 px of boxes: another pass size may change the last digits."""
    batch = image_samples([(60, 80), (64, 64), (60, 80), (90, 40), (64, 64), (60, 80), (1, 1), (40, 90)])
    at_once = detector(folder, items_per_pass=8).annotate(batch)
    one_by_one = detector(folder, items_per_pass=1)
    alone = [one_by_one.annotate([sample])[0] for sample in batch[:4]]
    assert sum(len(a.regions) for a in alone) >= 5
    for one, same in zip(alone, at_once, strict=False):
        assert_close(one, same)


def assert_close(one: Annotations, other: Annotations) -> None:
    """Equal boxes whatever their order, as scores that are nearly equal may change places."""
    assert len(one.regions) == len(other.regions)
    numbers = [np.array(sorted((*r.box_xyxy, r.score) for r in a.regions)).reshape(-1, 5) for a in (one, other)]
    np.testing.assert_allclose(numbers[0], numbers[1], atol=0.05)


def test_out_of_memory_halves_the_pass_and_loses_nothing(folder: Path) -> None:
    batch = image_samples([(60, 80)] * 8)
    whole, cramped = detector(folder, items_per_pass=8), detector(folder, items_per_pass=8)
    assert cramped._loaded is not None
    cramped._loaded.model = Limited(cramped._loaded.model, at_most=2)
    for one, same in zip(whole.annotate(batch), cramped.annotate(batch), strict=True):
        assert_close(one, same)
    assert cramped.reduced
    assert not whole.reduced


def test_bfloat16_runs(folder: Path) -> None:
    (found,) = detector(folder, dtype="bfloat16").annotate(image_samples([(60, 80)]))
    assert len(found.regions) >= 1


def test_classes_are_renamed_or_left_out_as_the_map_says(folder: Path) -> None:
    sample = image_samples([(60, 80)])[0]
    plain = detector(folder).annotate([sample])[0].regions
    names = {region.texts[0].text for region in plain}
    left_out = sorted(names)[0]
    raw = {
        "person": "person",
        "traffic light": "traffic_light",
        "dog": "Dog",
        "dining table": "dining table",
        "cup": "cup",
    }
    mapped = detector(folder, label_map={raw[left_out]: ""}).annotate([sample])[0].regions
    assert [r for r in rows(plain) if r[0] != left_out] == rows(mapped)


def test_at_most_the_best_regions_are_written(folder: Path) -> None:
    sample = image_samples([(60, 80)])[0]
    everything = detector(folder).annotate([sample])[0].regions
    best = detector(folder, max_regions=3).annotate([sample])[0].regions
    assert best == everything[:3]


def test_a_checkpoint_of_another_kind_is_refused_with_the_kinds_that_fit(tmp_path: Path) -> None:
    other = build_llava(tmp_path)
    with pytest.raises(ModelError, match=r"'llava', which does not do object detection; expected .*rt_detr_v2"):
        detector(other)


def test_the_constructor_is_cheap_and_crosses_processes() -> None:
    made = HubObjectDetector(HubObjectDetector.Params(checkpoint="org/not-there"))
    assert pickle.loads(pickle.dumps(made)).params == made.params


def test_no_image_is_no_pass(folder: Path) -> None:
    assert detector(folder).annotate([]) == []


def test_samples_are_rgb(folder: Path) -> None:
    """A channel order other than RGB would change what is seen."""
    sample = image_samples([(60, 80)])[0]
    assert sample.pixels is not None
    swapped = Sample(id=sample.id, width=80, height=60, pixels=np.ascontiguousarray(sample.pixels[..., ::-1]))
    found = detector(folder)
    assert rows(found.annotate([sample])[0].regions) != rows(found.annotate([swapped])[0].regions)
