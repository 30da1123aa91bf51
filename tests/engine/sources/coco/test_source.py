"""COCO json: what people labelled arrives whole, in the right place, and what leads nowhere is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as reference

from fld_engine.engine.sources.item import Rejected, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from fld_engine.engine.sources.regions.rle import decode_rle, mask_polygons
from fld_engine.schemas.errors import SourceError
from tests.hostile import jpeg, rotated_jpeg, write_hostile_coco


def scan(url: Path, **spec: Any) -> tuple[dict[str, SourceItem], list[Rejected]]:
    source = open_source(SourceSpec(url=str(url), **spec))
    found = [one for chunk in source.chunks() for one in read_chunk(chunk)]
    items = [one[0] for one in found if not isinstance(one, Rejected)]
    return {i.uri.rpartition("#")[2]: i for i in items}, [one for one in found if isinstance(one, Rejected)]


def write(folder: Path, annotations: list[dict[str, Any]], image: bytes | None = None, **size: int) -> Path:
    (folder / "cat.jpg").write_bytes(image or jpeg())
    tree = {
        "images": [{"id": 1, "file_name": "cat.jpg", **size}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 3, **a} for i, a in enumerate(annotations)],
        "categories": [{"id": 3, "name": "cat"}],
    }
    (folder / "labels.json").write_text(json.dumps(tree))
    return folder / "labels.json"


def test_captions_are_of_the_granularity_that_they_state(tmp_path: Path) -> None:
    captions = [
        {"caption": "A cat."},
        {"caption": "A cat sits on a wall.", "granularity": "detailed"},
        {"caption": "A cat.", "granularity": "long"},
    ]
    items, rejected = scan(write(tmp_path, captions))
    assert [(t.granularity, t.text) for t in items["cat.jpg"].annotations.texts] == [
        ("brief", "A cat."),
        ("detailed", "A cat sits on a wall."),
    ]
    assert [(r.reason, r.what) for r in rejected] == [("bad_granularity", "annotation")]


def test_hostile_labels_are_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    expected = write_hostile_coco(tmp_path)
    items, rejected = scan(tmp_path / "labels.json")
    assert {r.uri.removeprefix("labels.json"): r.reason for r in rejected} == expected
    assert len(rejected) == len(expected), "each is counted once"
    assert sorted(items) == ["cat.jpg", "rocket.jpg"]
    cat = items["cat.jpg"].annotations
    assert [t.text for t in cat.texts] == ["A cat <loc_1> looks </s> up."], "markup is text; a blank caption is none"
    # x y width height: a whole box, two that reach beyond 451 x 300, two whose mask alone was bad
    assert [r.box_xyxy for r in cat.regions] == [
        (100.0, 50.0, 300.0, 200.0),
        (0.0, 0.0, 80.0, 80.0),
        (400.0, 250.0, 451.0, 300.0),
        (10.0, 10.0, 30.0, 30.0),
        (10.0, 10.0, 30.0, 30.0),
    ]
    assert cat.regions[0].masks[0].polygons == ((100.0, 50.0, 300.0, 50.0, 300.0, 200.0),)
    assert not items["rocket.jpg"].annotations.regions, "boxes for another size would be in the wrong place"


def test_labels_are_human_and_name_the_json(tmp_path: Path) -> None:
    items, _ = scan(write(tmp_path, [{"caption": "A cat."}, {"bbox": [1, 2, 3, 4]}]), gold=True)
    annotations = items["cat.jpg"].annotations
    (region,) = annotations.regions
    assert [(t.kind, t.text, t.score) for t in region.texts] == [("phrase", "cat", 1.0)]
    for source in (annotations.texts[0].source, region.source, region.texts[0].source):
        assert source is not None
        assert (source.annotator, source.model, source.round) == ("human", "human", 0)
        assert len(source.revision) == 12


def test_boxes_are_in_the_upright_frame(tmp_path: Path) -> None:
    """A photograph of 451 x 300 stored pixels that EXIF turns is 300 x 451: x may not pass 300."""
    sideways = rotated_jpeg(6)
    items, rejected = scan(write(tmp_path, [{"bbox": [250, 400, 100, 100]}], sideways, width=300, height=451))
    assert not rejected
    assert items["cat.jpg"].annotations.regions[0].box_xyxy == (250.0, 400.0, 300.0, 451.0)
    _, rejected = scan(write(tmp_path, [{"bbox": [250, 200, 100, 100]}], sideways, width=451, height=301))
    assert [r.reason for r in rejected] == ["frame_mismatch"]


def test_run_length_masks_become_polygons_that_cover_the_same_pixels(tmp_path: Path) -> None:
    mask = np.zeros((300, 451), dtype=np.uint8)
    cv2.circle(mask, (200, 150), 60, 1, -1)
    mask[10:30, 400:440] = 1
    compressed = reference.encode(np.asfortranarray(mask))
    column_major = mask.T.reshape(-1)
    runs = np.diff(np.flatnonzero(np.diff(column_major, prepend=1 - column_major[0], append=2)))
    for counts in (compressed["counts"].decode(), [int(r) for r in runs]):
        rle = {"size": [300, 451], "counts": counts}
        items, rejected = scan(write(tmp_path, [{"segmentation": rle}]))
        assert not rejected
        (region,) = items["cat.jpg"].annotations.regions
        drawn = np.zeros_like(mask)
        polygons = [np.array(p).reshape(-1, 2) for p in region.masks[0].polygons]
        cv2.fillPoly(drawn, [np.rint(p - 0.5).astype(np.int32) for p in polygons], 1)
        assert len(polygons) == 2
        assert (drawn & mask).sum() / (drawn | mask).sum() > 0.97
        # without a box, that of the mask: circle from 140 to 260, square from 400 to 440 and from 10 to 30, in pixels
        assert region.box_xyxy == pytest.approx((140, 10, 440, 211), abs=0.5)


MASKS = arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 1))


@given(mask=MASKS)
def test_our_run_lengths_are_the_reference_implementation_s(mask: np.ndarray[Any, np.dtype[np.uint8]]) -> None:
    height, width = mask.shape
    encoded = reference.encode(np.asfortranarray(mask))
    rle = {"size": [height, width], "counts": encoded["counts"].decode()}
    assert np.array_equal(decode_rle(rle, (width, height)), mask)


@given(mask=MASKS)
def test_every_part_of_a_mask_has_a_polygon_with_an_area_inside_the_frame(
    mask: np.ndarray[Any, np.dtype[np.uint8]],
) -> None:
    """A cat's whisker is one pixel wide; its outline must not collapse to a line."""
    polygons = mask_polygons(mask)
    num_parts, _ = cv2.connectedComponents(mask, connectivity=8)
    assert len(polygons) <= num_parts - 1  # a part inside the hole of another is covered by it
    assert bool(polygons) == bool(mask.any())
    for polygon in polygons:
        points = np.array(polygon).reshape(-1, 2)
        assert cv2.contourArea(points.astype(np.float32)) > 0
        assert (points >= 0).all()
        assert (points <= (mask.shape[1], mask.shape[0])).all()


@given(counts=st.text(max_size=20) | st.lists(st.integers(-5, 40), max_size=8) | st.none() | st.integers())
def test_run_lengths_that_do_not_fill_the_mask_are_refused(counts: Any) -> None:
    try:
        mask = decode_rle({"size": [4, 5], "counts": counts}, (5, 4))
    except ValueError:
        return
    assert mask.shape == (4, 5)
    assert isinstance(counts, str) or sum(counts) == 20


def test_a_second_json_of_the_same_images_is_another_place(tmp_path: Path) -> None:
    """Captions and instances come in two files; if both named the image alike, one would be taken for a repetition."""
    first = write(tmp_path, [{"caption": "A cat."}])
    uris = {item.uri for item in scan(first)[0].values()}
    second = first.rename(tmp_path / "captions.json")
    assert uris.isdisjoint(item.uri for item in scan(second)[0].values())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not COCO json"),
        ('{"annotations": []}', "is not COCO json"),
        ('{"images": {}}', "is not COCO json"),
        ('{"imgs": []}', "is not COCO json"),
        ('{"imgs": {}, "anns": []}', "is not COCO json"),
        ('{"imgs": {}}', "speaks of no image"),
        ('{"images": []}', "speaks of no image"),
        ('{"images": [{"id": 1, "file_name": "gone.jpg"}]}', "'gone.jpg' for one; set images_url"),
    ],
)
def test_json_that_is_no_coco_is_an_error_with_the_cure(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        open_source(SourceSpec(url=str(tmp_path / "labels.json"))).chunks()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=12,
)
FIELDS = (
    "id", "image_id", "category_id", "bbox", "segmentation", "caption", "granularity", "iscrowd",
    "utf8_string", "points", "legibility", "tokens_positive", "attributes", "area", "bbox_mode", "category_name",
    "segments_info", "keypoints", "fld_annotator", "fld_texts", "fld_mask",
)  # fmt: skip


@settings(deadline=None)
@given(annotations=st.lists(st.dictionaries(st.sampled_from(FIELDS), VALUES) | VALUES, max_size=5))
def test_any_json_where_annotations_should_be_leaves_the_image_readable(
    annotations: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = write(folder, [])
    tree = json.loads(path.read_text())
    tree["images"][0]["caption"] = "A cat on a wall."
    tree["annotations"] = [{"image_id": 1, "category_id": 3, **a} if isinstance(a, dict) else a for a in annotations]
    path.write_text(json.dumps(tree))
    items, _ = scan(path)
    assert list(items) == ["cat.jpg"]


def test_a_json_that_changes_between_listing_and_reading_is_noticed(tmp_path: Path) -> None:
    (chunk,) = open_source(SourceSpec(url=str(write(tmp_path, [{"caption": "A cat."}])))).chunks()
    write(tmp_path, [{"caption": "A dog."}])
    with pytest.raises(SourceError, match="changed while it was ingested"):
        list(read_chunk(chunk))
