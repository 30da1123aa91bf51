"""Masks through the adapter are those that direct use of the library gives for the same boxes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import transformers
from transformers.utils import is_torchvision_available

from fld_engine.annotators.checkpoints.loading import Loaded
from fld_engine.annotators.hub.box_masks import HubBoxMasks
from fld_engine.engine.data.geometry import Bools
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import ModelError
from tests.annotators.builders import line, thing
from tests.annotators.hub.checkpoints_detection import build_rtdetr
from tests.annotators.hub.checkpoints_masks import SIDE, Squares, build_sam, build_sam2
from tests.annotators.hub.shared import Limited, image_samples, pinned

BOXES = (
    (5.0, 5.0, 40.0, 50.0),
    (30.0, 10.0, 79.0, 59.0),
    (0.0, 0.0, 80.0, 60.0),
    (50.0, 3.0, 60.0, 9.0),
    (2, 30, 20, 58),
)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def sam2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sam2(tmp_path_factory.mktemp("sam2"))


def masks_of_sam(folder: Path, **params: Any) -> HubBoxMasks:
    found = HubBoxMasks(pinned(HubBoxMasks.Params, folder, min_part=0.0, tolerance_px=0.0, **params))
    found.load()
    return found


def masks_of_sam2(folder: Path, **params: Any) -> HubBoxMasks:
    """SAM 2 with tensors made by the test, as its own processor needs torchvision."""
    given = pinned(HubBoxMasks.Params, folder, min_part=0.0, tolerance_px=0.0, **params)
    model = transformers.AutoModelForMaskGeneration.from_pretrained(folder, dtype=getattr(torch, given.dtype)).eval()
    found = HubBoxMasks(given)
    found._loaded = Loaded(model, Squares(), given, torch.device("cpu"))
    return found


Make = Callable[..., HubBoxMasks]
both = pytest.mark.parametrize(("make", "kind"), [(masks_of_sam, "sam"), (masks_of_sam2, "sam2")])


def scene(boxes: tuple[tuple[float, ...], ...] = BOXES, size: tuple[int, int] = (60, 80), seed: int = 0) -> Sample:
    (sample,) = image_samples([size], seed)
    regions = [thing("dog", box, 0.9, f"r{i}") for i, box in enumerate(boxes)]  # type: ignore[arg-type]
    return replace(sample, known=Annotations(regions=(line("EXIT", (1, 1, 9, 4)), *regions)))


def direct(folder: Path, pixels: RGB) -> list[tuple[Bools, float]]:
    """The library's own masks of `BOXES` and their scores, box by box."""
    is_sam = (folder / "processor_config.json").exists()
    model = transformers.AutoModelForMaskGeneration.from_pretrained(folder).eval()
    processor: Any = transformers.AutoProcessor.from_pretrained(folder) if is_sam else Squares()
    found = []
    for box in BOXES:
        inputs = processor(
            images=[pixels],
            input_boxes=[[list(map(float, box))]],
            input_data_format="channels_last",
            return_tensors="pt",
        )
        with torch.no_grad():
            output = model(
                pixel_values=inputs["pixel_values"], input_boxes=inputs["input_boxes"], multimask_output=False
            )
        sizes = {name: inputs[name].tolist() for name in inputs if name.endswith("_sizes")}
        logits = processor.post_process_masks(output.pred_masks, **sizes, binarize=False)[0][0, 0].numpy()
        stability = np.count_nonzero(logits > 1) / max(1, np.count_nonzero(logits > -1))
        found.append((logits > 0, float(output.iou_scores[0, 0, 0]) * stability))
    return found


def painted(polygons: tuple[tuple[float, ...], ...], shape: tuple[int, ...]) -> Bools:
    canvas = np.zeros(shape, dtype=np.uint8)
    for polygon in polygons:
        corners = np.floor(np.array(polygon).reshape(-1, 1, 2)).astype(np.int32)
        cv2.fillPoly(canvas, [corners], 1)
    return canvas.astype(bool)


def filled(mask: Bools) -> Bools:
    """Without holes, and without specks that enclose no area."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    canvas = np.zeros(mask.shape, dtype=np.uint8)
    cv2.fillPoly(canvas, [c for c in contours if cv2.contourArea(c) >= 1], 1)
    return canvas.astype(bool)


@both
def test_masks_and_scores_are_those_of_the_library(make: Make, kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    sample = scene()
    assert sample.pixels is not None
    (found,) = make(folder).annotate([sample])
    expected = {f"r{i}": row for i, row in enumerate(direct(folder, sample.pixels)) if filled(row[0]).any()}
    assert len(expected) >= 5
    assert [mask.subject_id for mask in found.masks] == list(expected)
    for mask in found.masks:
        plane, score = expected[mask.subject_id]
        assert mask.score == pytest.approx(score, abs=2e-4)
        assert np.count_nonzero(painted(mask.polygons, plane.shape) ^ filled(plane)) <= 0.01 * plane.size


@both
def test_batches_say_what_each_image_alone_says(make: Make, kind: str, request: pytest.FixtureRequest) -> None:
    """Images of several sizes and numbers of boxes share a pass: scores within 1e-3, masks within 1% of the pixels."""
    folder: Path = request.getfixturevalue(kind)
    few = BOXES[3:]
    batch = [scene(), scene(few, seed=1), replace(scene(), known=Annotations()), scene(few, (75, 90), 2), scene(seed=3)]
    together = make(folder, items_per_pass=8).annotate(batch)
    one_by_one = make(folder, items_per_pass=1)
    assert together[2] == Annotations()
    for sample, at_once in zip(batch, together, strict=True):
        (alone,) = one_by_one.annotate([sample])
        assert_same(alone, at_once, (sample.height, sample.width))
    assert sum(len(found.masks) for found in together) >= 5


def assert_same(one: Annotations, other: Annotations, shape: tuple[int, int]) -> None:
    assert [mask.subject_id for mask in one.masks] == [mask.subject_id for mask in other.masks]
    for first, second in zip(one.masks, other.masks, strict=True):
        assert first.score == pytest.approx(second.score, abs=1e-3)
        differs = painted(first.polygons, shape) ^ painted(second.polygons, shape)
        assert np.count_nonzero(differs) <= 0.01 * differs.size


@both
def test_out_of_memory_halves_the_pass_and_loses_nothing(make: Make, kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    batch = [scene(seed=seed) for seed in range(5)]
    whole, cramped = make(folder, items_per_pass=4), make(folder, items_per_pass=4)
    assert cramped._loaded is not None
    cramped._loaded.model = Limited(cramped._loaded.model, at_most=1)
    for one, other in zip(whole.annotate(batch), cramped.annotate(batch), strict=True):
        assert_same(one, other, (60, 80))
    assert cramped.reduced
    assert not whole.reduced


@both
def test_bfloat16_runs(make: Make, kind: str, request: pytest.FixtureRequest) -> None:
    (found,) = make(request.getfixturevalue(kind), dtype="bfloat16").annotate([scene()])
    assert len(found.masks) >= 1


def test_outlines_keep_their_tolerance(sam: Path) -> None:
    """Fewer corners, and an outline that stays near."""
    exact, loose = masks_of_sam(sam), HubBoxMasks(pinned(HubBoxMasks.Params, sam, tolerance_px=2.0))
    loose.load()
    (one,), (other,) = exact.annotate([scene()]), loose.annotate([scene()])
    corners = [sum(len(polygon) for mask in found.masks for polygon in mask.polygons) for found in (one, other)]
    assert 0 < corners[1] < corners[0]


def test_an_image_of_one_pixel(sam: Path) -> None:
    (found,) = masks_of_sam(sam).annotate([scene(((0.0, 0.0, 1.0, 1.0),), (1, 1))])
    assert found == Annotations()  # nothing in it encloses an area


@pytest.mark.skipif(
    not is_torchvision_available(), reason="the processor of SAM 2 needs torchvision, which is not there"
)
def test_sam2_end_to_end(tmp_path: Path) -> None:
    processor = transformers.Sam2ImageProcessor(size={"height": SIDE, "width": SIDE})
    transformers.Sam2Processor(processor).save_pretrained(build_sam2(tmp_path))
    assert len(masks_of_sam(tmp_path).annotate([scene()])[0].masks) >= 1


@pytest.mark.skipif(is_torchvision_available(), reason="torchvision is there")
def test_sam2_needs_a_processor(sam2: Path) -> None:
    with pytest.raises(ModelError, match="no processor that loads here"):
        masks_of_sam(sam2)


def test_a_checkpoint_of_another_kind_is_refused_with_the_kinds_that_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'rt_detr_v2', which does not do masks for boxes; expected .*sam, sam2"):
        masks_of_sam(build_rtdetr(tmp_path))


def test_the_constructor_is_cheap_and_crosses_processes() -> None:
    made = HubBoxMasks(HubBoxMasks.Params(checkpoint="org/not-there"))
    assert pickle.loads(pickle.dumps(made)).params == made.params
