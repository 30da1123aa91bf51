"""Which picture boxes are of: told where only one frame can be, else said by the source, else refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fld_engine.engine.data.images import ImageLimits, decode, upright_frame
from fld_engine.engine.sources.item import Rejected, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from fld_engine.engine.sources.regions.frames import Frame
from tests.hostile import ORIENTATION_TAG
from tests.known_faults.pictures import as_bytes

STORED_WH = (100, 80)
THING = [5, 5, 30, 20]
"""x y width height of something white in black stored pixels."""
MIDDLE = [35, 30, 30, 20]
"""A place that a turn by 180 degrees leaves where it is."""
LIMITS = ImageLimits()


def turned(orientation: int, form: str = "JPEG") -> bytes:
    stored = np.zeros((STORED_WH[1], STORED_WH[0], 3), np.uint8)
    x, y, width, height = THING
    stored[y : y + height, x : x + width] = 255
    if form == "TIFF":
        return as_bytes(Image.fromarray(stored), "TIFF", tiffinfo={ORIENTATION_TAG: orientation})
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    return as_bytes(Image.fromarray(stored), form, exif=exif, quality=95)


def said(
    folder: Path, image: bytes, *annotations: dict[str, Any], size: tuple[int, int] | None = STORED_WH, exif: str = ""
) -> tuple[SourceItem, list[Rejected]]:
    """The one image of a json, and what is refused of it."""
    (folder / "x.jpg").write_bytes(image)
    stated = {"width": size[0], "height": size[1]} if size else {}
    tree = {
        "images": [{"id": 1, "file_name": "x.jpg", **stated}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 1, **one} for i, one in enumerate(annotations)],
        "categories": [{"id": 1, "name": "thing"}],
    }
    (folder / "x.json").write_text(json.dumps(tree))
    spec = SourceSpec.model_validate({"url": str(folder / "x.json"), "exif": exif})
    found = [one for chunk in open_source(spec).chunks() for one in read_chunk(chunk)]
    (item,) = (one[0] for one in found if not isinstance(one, Rejected))
    return item, [one for one in found if isinstance(one, Rejected)]


def brightness(data: bytes, item: SourceItem) -> list[float]:
    """Mean of the upright pixels in each region: 255 where it lies on the thing."""
    pixels = decode(data, LIMITS).pixels
    boxes = [tuple(int(v) for v in region.box_xyxy) for region in item.annotations.regions]
    return [float(pixels[y1:y2, x1:x2].mean()) for x1, y1, x2, y2 in boxes]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_boxes_polygons_and_masks_of_stored_pixels_land_on_the_thing(
    tmp_path: Path, orientation: int, form: str
) -> None:
    """Whatever EXIF says and wherever it is written, the white thing is where the label is."""
    data = turned(orientation, form)
    x, y, w, h = THING
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    runs = [x * STORED_WH[1] + y, *([h, STORED_WH[1] - h] * w)]
    runs[-1] += STORED_WH[0] * STORED_WH[1] - sum(runs)
    rle = {"size": [STORED_WH[1], STORED_WH[0]], "counts": runs}
    annotations = [{"bbox": THING, "segmentation": one} for one in ([], [corners], rle)]
    item, rejected = said(tmp_path, data, *annotations, exif="raw")
    assert not rejected
    assert all(value > 250 for value in brightness(data, item))
    boxes = {region.box_xyxy for region in item.annotations.regions}
    assert len(boxes) == 1
    for region in item.annotations.regions[1:]:
        xs, ys = region.masks[0].polygons[0][0::2], region.masks[0].polygons[0][1::2]
        assert np.allclose((min(xs), min(ys), max(xs), max(ys)), region.box_xyxy, atol=0.5)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [STORED_WH, None])
def test_a_box_that_fits_both_ways_is_refused_by_name_with_both_readings(
    tmp_path: Path, orientation: int, size: tuple[int, int] | None
) -> None:
    """Two annotations, one of which both frames hold: neither is guessed, captions stay, the cure is named."""
    data = turned(orientation)
    item, rejected = said(tmp_path, data, {"bbox": THING}, {"caption": "a thing"}, size=size)
    assert [text.text for text in item.annotations.texts] == ["a thing"]
    assert not item.annotations.regions
    assert [(r.uri, r.reason, r.what, r.of_image) for r in rejected] == [
        ("x.json#annotation/0", "frame_unknown", "annotation", "x.json#x.jpg")
    ]
    stored_box = (5.0, 5.0, 35.0, 25.0)
    assert str(stored_box) in rejected[0].detail
    assert str(Frame(STORED_WH, orientation).box(stored_box)) in rejected[0].detail
    assert "set exif" in rejected[0].detail


@pytest.mark.parametrize(
    ("orientation", "xywh", "size"),
    [
        pytest.param(1, THING, STORED_WH, id="not turned"),
        pytest.param(3, MIDDLE, STORED_WH, id="in the middle of a picture upside down"),
        pytest.param(3, [0, 0, 100, 80], STORED_WH, id="all of a picture upside down"),
        pytest.param(2, [40, 10, 20, 20], None, id="in the middle of a mirrored picture"),
    ],
)
def test_where_both_readings_are_the_same_there_is_nothing_to_tell(
    tmp_path: Path, orientation: int, xywh: list[int], size: tuple[int, int] | None
) -> None:
    item, rejected = said(tmp_path, turned(orientation), {"bbox": xywh}, size=size)
    x, y, w, h = xywh
    assert not rejected
    assert [region.box_xyxy for region in item.annotations.regions] == [(x, y, x + w, y + h)]


@pytest.mark.parametrize(
    ("xywh", "size", "right"),
    [
        pytest.param([60, 50, 35, 20], STORED_WH, (10, 60, 30, 95), id="only the stored frame holds it"),
        pytest.param([60, 50, 35, 20], None, (10, 60, 30, 95), id="the same, without a size"),
        pytest.param([10, 60, 20, 35], STORED_WH, (10, 60, 30, 95), id="only the upright frame holds it"),
        pytest.param([10, 10, 20, 20], (80, 100), (10, 10, 30, 30), id="both hold it, the size is the upright one"),
    ],
)
def test_what_only_one_frame_can_be_is_told(
    tmp_path: Path, xywh: list[int], size: tuple[int, int] | None, right: tuple[int, ...]
) -> None:
    """100 x 80 stored pixels that are shown as 80 x 100, turned to the right: (x, y) is shown at (80 - y, x)."""
    item, rejected = said(tmp_path, turned(6), {"bbox": xywh}, size=size)
    assert not rejected
    assert [region.box_xyxy for region in item.annotations.regions] == [right]


def test_one_box_tells_for_all_of_its_image(tmp_path: Path) -> None:
    """A tool draws all boxes of a picture on the same picture."""
    item, rejected = said(tmp_path, turned(6), {"bbox": [60, 50, 35, 20]}, {"bbox": THING})
    assert not rejected
    assert [region.box_xyxy for region in item.annotations.regions] == [(10, 60, 30, 95), (55, 5, 75, 35)]


def test_boxes_that_no_frame_holds_together_are_refused(tmp_path: Path) -> None:
    _, rejected = said(tmp_path, turned(6), {"bbox": [60, 50, 35, 20]}, {"bbox": [10, 60, 20, 35]})
    assert [one.reason for one in rejected] == ["frame_unknown"] * 2


@pytest.mark.parametrize("size", [(100, 80), (80, 100)])
def test_a_run_length_mask_says_by_its_size_what_it_is_of(tmp_path: Path, size: tuple[int, int]) -> None:
    """Its counts fill one frame alone; a box that fits both ways needs no setting beside it."""
    width, height = size
    rle = {"size": [height, width], "counts": [0, height * 40, height * (width - 40)]}  # the left 40 columns
    item, rejected = said(tmp_path, turned(6), {"bbox": [0, 0, 40, 60], "segmentation": rle})
    assert not rejected
    right = (20, 0, 80, 40) if size == STORED_WH else (0, 0, 40, 60)
    assert [region.box_xyxy for region in item.annotations.regions] == [right]


def test_groundings_and_quads_are_turned_too(tmp_path: Path) -> None:
    data = turned(6)
    (tmp_path / "x.jpg").write_bytes(data)
    image = {"id": 1, "file_name": "x.jpg", "width": 100, "height": 80, "caption": "a thing"}
    x, y, w, h = THING
    annotations = [
        {"id": 1, "image_id": 1, "bbox": THING, "tokens_positive": [[2, 7]]},
        {"id": 2, "image_id": 1, "bbox": THING, "utf8_string": "A", "points": [x, y, x + w, y, x + w, y + h, x, y + h]},
    ]
    (tmp_path / "x.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    spec = SourceSpec(url=str(tmp_path / "x.json"), exif="raw")
    ((item, _),) = (one for chunk in open_source(spec).chunks() for one in read_chunk(chunk) if isinstance(one, tuple))
    (phrase,) = item.annotations.texts[0].phrases
    (region,) = item.annotations.regions
    assert phrase.regions[0].box_xyxy == region.box_xyxy == (55, 5, 75, 35)
    assert region.quad == (55, 5, 75, 5, 75, 35, 55, 35), "clockwise from the top left, as it is shown"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_frames_turn_as_pillow_does(orientation: int) -> None:
    assert upright_frame(turned(orientation), LIMITS)[1] == orientation
    frame = Frame(STORED_WH, orientation)
    x, y, w, h = THING
    x1, y1, x2, y2 = (int(v) for v in frame.box((x, y, x + w, y + h)))
    pixels = decode(turned(orientation, "PNG"), LIMITS).pixels
    assert pixels[y1:y2, x1:x2].min() == 255
    assert (pixels == 255).all(axis=2).sum() == w * h
