"""Scene text that people transcribed, as COCO-Text v2 and TextOCR store it, and in COCO's own lists."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.sources.coco.test_source import scan, write
from tests.hostile import jpeg

COCO_TEXT = {
    "cats": {},
    "imgs": {"540965": {"id": 540965, "set": "train", "width": 451, "height": 300, "file_name": "cat.jpg"}},
    "anns": {
        "45346": {
            # the corners of COCO-Text may go round the other way
            "mask": [68.9, 86.7, 68.9, 95.2, 93.0, 95.8, 93.0, 87.2],
            "class": "machine printed", "bbox": [68.9, 86.7, 24.1, 9.1], "image_id": 540965, "id": 45346,
            "language": "english", "area": 206.06, "utf8_string": "New", "legibility": "legible",
        },
        "45347": {
            "mask": [10, 10, 30, 10, 30, 20, 10, 20], "class": "handwritten", "bbox": [10, 10, 20, 10],
            "image_id": 540965, "id": 45347, "language": "na", "area": 200, "legibility": "illegible",
        },
    },
    "imgToAnns": {"540965": [45346, 45347]},
    "info": {},
}  # fmt: skip
TEXT_OCR = {
    "info": {"version": "0.1"},
    "imgs": {
        "a4ea732cd3d5948a": {
            "id": "a4ea732cd3d5948a", "width": 451, "height": 300, "set": "val", "file_name": "train/cat.jpg"
        }
    },
    "anns": {
        "a4ea732cd3d5948a_1": {
            "id": "a4ea732cd3d5948a_1", "image_id": "a4ea732cd3d5948a", "bbox": [58.0, 36.0, 30.0, 25.0],
            "utf8_string": "Performance", "points": [58.0, 36.0, 88.0, 40.0, 86.0, 61.0, 60.0, 57.0], "area": 750.0,
        },
        "a4ea732cd3d5948a_2": {
            "id": "a4ea732cd3d5948a_2", "image_id": "a4ea732cd3d5948a", "bbox": [1.0, 1.0, 30.0, 20.0],
            "utf8_string": ".", "points": [1.0, 1.0, 31.0, 1.0, 31.0, 21.0, 1.0, 21.0], "area": 600.0,
        },
        "a4ea732cd3d5948a_3": {
            "id": "a4ea732cd3d5948a_3", "image_id": "a4ea732cd3d5948a", "bbox": [100.0, 100.0, 60.0, 30.0],
            "utf8_string": "ROUND", "points": [100.0, 130.0, 130.0, 100.0, 160.0, 130.0, 150.0, 130.0, 130.0, 110.0],
            "area": 1800.0,
        },
    },
    "imgToAnns": {"a4ea732cd3d5948a": ["a4ea732cd3d5948a_1", "a4ea732cd3d5948a_2", "a4ea732cd3d5948a_3"]},
}  # fmt: skip


def write_tree(folder: Path, tree: dict[str, Any]) -> Path:
    (image,) = tree["imgs"].values()
    path = folder / image["file_name"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg())
    (folder / "labels.json").write_text(json.dumps(tree))
    return folder / "labels.json"


def test_coco_text_as_it_is_published(tmp_path: Path) -> None:
    items, rejected = scan(write_tree(tmp_path, COCO_TEXT))
    (region,) = items["cat.jpg"].annotations.regions
    assert (region.kind, region.box_xyxy) == ("text", (68.9, 86.7, 93.0, 95.8))
    assert region.quad == (68.9, 86.7, 93.0, 87.2, 93.0, 95.8, 68.9, 95.2), "clockwise from the top left"
    assert [(t.kind, t.text, t.score) for t in region.texts] == [("ocr", "New", 1.0)]
    assert not region.masks, "the quadrilateral says it already"
    for source in (region.source, region.texts[0].source):
        assert source is not None
        assert source.annotator == "human"
    assert [(r.uri, r.reason, r.what) for r in rejected] == [
        ("labels.json#annotation/45347", "illegible", "annotation")
    ]


def test_text_ocr_as_it_is_published(tmp_path: Path) -> None:
    items, rejected = scan(write_tree(tmp_path, TEXT_OCR))
    word, curved = items["train/cat.jpg"].annotations.regions
    assert word.quad == (58.0, 36.0, 88.0, 40.0, 86.0, 61.0, 60.0, 57.0)
    assert word.box_xyxy == (58.0, 36.0, 88.0, 61.0)
    assert (curved.quad, curved.texts[0].text) == (None, "ROUND")
    assert len(curved.masks[0].polygons[0]) == 10, "a curved text has an outline, and its box"
    assert [(r.uri, r.reason) for r in rejected] == [("labels.json#annotation/a4ea732cd3d5948a_2", "illegible")]


def test_objects_and_texts_in_lists_side_by_side(tmp_path: Path) -> None:
    told = [
        {"bbox": [1, 2, 30, 40]},
        {"bbox": [5, 6, 20, 10], "utf8_string": " STOP\u0007 ", "segmentation": [[5, 6, 25, 6, 25, 16, 5, 16]]},
        {"points": [5, 46, 25, 46, 25, 56, 5, 56], "utf8_string": "GO", "category_id": 99},
        {"bbox": [440, 6, 50, 10], "utf8_string": "cut"},
    ]
    items, rejected = scan(write(tmp_path, told))
    assert not rejected, "of a text no category is asked"
    cat, stop, go, cut = items["cat.jpg"].annotations.regions
    assert (cat.kind, cat.texts[0].kind, cat.texts[0].text) == ("object", "phrase", "cat")
    assert (stop.kind, stop.texts[0].kind, stop.texts[0].text) == ("text", "ocr", "STOP")
    assert stop.quad == (5.0, 6.0, 25.0, 6.0, 25.0, 16.0, 5.0, 16.0)
    assert go.box_xyxy == (5.0, 46.0, 25.0, 56.0), "a box that is missing is that of the outline"
    assert (cut.quad, cut.box_xyxy) == (None, (440.0, 6.0, 451.0, 16.0))


BOX = [5, 6, 20, 10]


@pytest.mark.parametrize(
    ("record", "reason", "num_regions"),
    [
        ({"bbox": BOX, "utf8_string": "."}, "illegible", 0),
        ({"bbox": BOX, "utf8_string": ""}, "illegible", 0),
        ({"bbox": BOX, "legibility": "legible"}, "illegible", 0),  # nobody wrote down what it says
        ({"bbox": BOX, "utf8_string": "guess", "legibility": "illegible"}, "illegible", 0),
        ({"bbox": BOX, "utf8_string": ["A"]}, "bad_text", 0),
        ({"bbox": BOX, "utf8_string": None}, "bad_text", 0),
        ({"bbox": BOX, "utf8_string": "x" * 20_001}, "text_too_long", 0),
        ({"bbox": BOX, "utf8_string": "A", "iscrowd": 1}, "crowd", 0),
        ({"bbox": [500, 6, 20, 10], "utf8_string": "A"}, "box_outside", 0),
        ({"utf8_string": "A"}, "box_malformed", 0),
        ({"bbox": BOX, "utf8_string": "A", "points": [1, 2, 3]}, "bad_mask", 1),
        ({"bbox": BOX, "utf8_string": "A", "points": [[5, 6], [25, 6], [25, 16]]}, "bad_mask", 1),
    ],
)
def test_what_cannot_be_used_is_one_rejected_row(
    tmp_path: Path, record: dict[str, Any], reason: str, num_regions: int
) -> None:
    items, rejected = scan(write(tmp_path, [record]))
    assert [(r.uri, r.reason, r.what) for r in rejected] == [("labels.json#annotation/0", reason, "annotation")]
    assert all(r.detail for r in rejected)
    assert len(items["cat.jpg"].annotations.regions) == num_regions


def test_texts_for_another_size_are_not_put_in_the_wrong_place(tmp_path: Path) -> None:
    items, rejected = scan(write(tmp_path, [{"bbox": BOX, "utf8_string": "A"}], width=300, height=451))
    assert [r.reason for r in rejected] == ["frame_mismatch"]
    assert not items["cat.jpg"].annotations.regions
