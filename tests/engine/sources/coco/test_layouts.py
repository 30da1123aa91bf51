"""Data sets that are COCO json with a turn of their own: LVIS and Objects365, as they are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.engine.sources.layouts import objects, picture_at, scanned

BOX = {"bbox": [10, 20, 30, 40], "area": 1200}
AT = (10.0, 20.0, 40.0, 60.0)


def write(folder: Path, images: list[Any], annotations: list[Any], categories: list[Any]) -> Path:
    tree = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(tree))
    return folder / "labels.json"


def test_lvis_v1_says_what_is_not_on_a_picture(tmp_path: Path) -> None:
    picture_at(tmp_path, "val2017/000000266409.jpg")
    image = {
        "id": 266409, "width": 160, "height": 120, "coco_url": "http://images.cocodataset.org/val2017/000000266409.jpg",
        "neg_category_ids": [2, 3], "not_exhaustive_category_ids": [1],
    }  # fmt: skip
    outline = [[10, 20, 40, 20, 40, 60, 10, 60]]
    annotation = {"id": 1, "image_id": 266409, "category_id": 1, "segmentation": outline, **BOX}
    names = ["bat_(animal)", "aerosol_can", "acorn"]
    categories = [
        {"id": number, "name": name, "synset": "x.n.01", "synonyms": [name], "def": "…", "frequency": "r"}
        for number, name in enumerate(names, 1)
    ]
    found = scanned(write(tmp_path, [image], [annotation], categories))
    item = found.items["val2017/000000266409.jpg"]
    assert objects(item) == [([("phrase", "bat_(animal)")], AT)]
    assert len(item.annotations.regions[0].masks) == 1
    said = [(one.label, one.score, one.source.annotator) for one in item.annotations.absences if one.source]
    assert said == [("aerosol_can", 1.0, "human"), ("acorn", 1.0, "human")]
    assert found.passed_over["not_exhaustive", ""] == 1
    assert found.rejected == []


def test_lvis_v05_has_names_of_files_of_an_older_release(tmp_path: Path) -> None:
    picture_at(tmp_path, "COCO_val2014_000000266409.jpg")
    image = {"id": 266409, "width": 160, "height": 120, "file_name": "COCO_val2014_000000266409.jpg"}
    found = scanned(write(tmp_path, [image], [], []))
    assert list(found.items) == ["COCO_val2014_000000266409.jpg"]


def test_objects365_unpacks_to_other_folders_than_it_names(tmp_path: Path) -> None:
    picture_at(tmp_path / "train", "patch8/objects365_v2_00420917.jpg", "patch16/objects365_v1_00908726.jpg")
    names = ["images/v2/patch8/objects365_v2_00420917.jpg", "images/v1/patch16/objects365_v1_00908726.jpg"]
    images = [{"id": number, "file_name": name, "width": 160, "height": 120} for number, name in enumerate(names)]
    annotations = [
        {"id": 1, "image_id": 0, "category_id": 5, "iscrowd": 0, "isfake": 1, "isreflected": 0, **BOX},
        {"id": 2, "image_id": 1, "category_id": 5, "iscrowd": 1, "isfake": 0, "isreflected": 0, **BOX},
    ]
    url = write(tmp_path, images, annotations, [{"id": 5, "name": "Other Shoes"}])
    found = scanned(url, images_url=str(tmp_path / "train"))
    assert objects(found.items["patch8/objects365_v2_00420917.jpg"]) == [([("phrase", "Other Shoes")], AT)]
    assert objects(found.items["patch16/objects365_v1_00908726.jpg"]) == []
    assert found.rejected == [("annotation/2", "crowd")]
    assert found.passed_over == {("not_kept", "isfake"): 1}


def test_what_coco_text_says_of_print_and_language_is_counted(tmp_path: Path) -> None:
    picture_at(tmp_path, "a.jpg")
    word = {"image_id": 1, "mask": [10, 20, 40, 20, 40, 60, 10, 60], "bbox": BOX["bbox"], "legibility": "legible"}
    tree = {
        "imgs": {"1": {"id": 1, "set": "train", "width": 160, "height": 120, "file_name": "a.jpg"}},
        "anns": {
            "7": {**word, "id": 7, "class": "handwritten", "language": "english", "utf8_string": "Open"},
            "8": {**word, "id": 8, "class": "machine printed", "language": "na", "legibility": "illegible"},
        },
        "imgToAnns": {"1": [7, 8]}, "cats": {}, "info": {},
    }  # fmt: skip
    (tmp_path / "cocotext.json").write_text(json.dumps(tree))
    found = scanned(tmp_path / "cocotext.json")
    (region,) = found.items["a.jpg"].annotations.regions
    assert (region.texts[0].text, region.quad) == ("Open", (10.0, 20.0, 40.0, 20.0, 40.0, 60.0, 10.0, 60.0))
    assert found.rejected == [("annotation/8", "illegible")]
    assert found.passed_over == {("not_kept", "class"): 2, ("not_kept", "language"): 2}
