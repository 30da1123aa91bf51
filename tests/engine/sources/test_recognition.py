"""Exports as labelling tools name and place them: recognised by what they begin with, wherever their pictures lie."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fld_engine.engine.sources.regions.rle import mask_polygons, num_filled
from tests.engine.sources.layouts import objects, picture_at, scanned, write_all

CAT = ([("phrase", "cat")], (10.5, 20.0, 40.0, 50.5))
XYWH = [10.5, 20.0, 29.5, 30.5]
BOX = {"xmin": 10.5, "ymin": 20, "xmax": 40, "ymax": 50.5}


def coco(file_name: str = "1.jpg") -> str:
    image = {"id": 1, "file_name": file_name, "width": 160, "height": 120}
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": XYWH, "area": 1, "iscrowd": 0, "segmentation": []}
    categories = [{"id": 1, "name": "cat"}]
    return json.dumps({"info": {}, "images": [image], "annotations": [one], "categories": categories}, indent=2)


def voc(name: str, box: dict[str, Any], *, folder: str = "x", database: str = "Unknown", more: str = "") -> str:
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in box.items())
    return (
        f"<annotation><folder>{folder}</folder><filename>{name}</filename><source><database>{database}</database>"
        "</source><size><width>160</width><height>120</height></size>"
        f"<object><name>cat</name><bndbox>{sides}</bndbox>{more}</object></annotation>"
    )


def labelme(name: str) -> str:
    shape = {"label": "cat", "shape_type": "rectangle", "points": [[10.5, 20], [40, 50.5]], "flags": {}}
    size = {"imageHeight": 120, "imageWidth": 160}
    return json.dumps(
        {"version": "5.5.0", "flags": {}, "shapes": [shape], "imagePath": name, "imageData": None, **size}
    )


CVAT = (
    '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n  <image id="0" name="1.jpg" '
    'width="160" height="120"><box label="cat" occluded="0" xtl="10.5" ytl="20" xbr="40" ybr="50.5"/></image>'
    "</annotations>"
)
OPEN_IMAGES = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside\n"
    f"1,,cat,,{10.5 / 160},{40 / 160},{20 / 120},{50.5 / 120},,,,,\n"
)
YOLO = f"0 {25.25 / 160} {35.25 / 120} {29.5 / 160} {30.5 / 120}\n"

EXPORTS = {
    "datumaro-coco": ("coco", "images/default/1.jpg", {"annotations/instances_default.json": coco()}),
    "supervision-coco": ("coco", "images/1.jpg", {"annotations.json": coco()}),
    "roboflow-coco": ("coco", "1_jpg.rf.a1.jpg", {"_annotations.coco.json": coco("1_jpg.rf.a1.jpg")}),
    "label-studio-coco": ("coco", "images/1.jpg", {"result.json": coco("images/1.jpg")}),
    "supervision-voc": ("voc", "images/1.jpg", {"annotations/1.xml": voc("1.jpg", BOX)}),
    "datumaro-cvat": ("cvat", "images/1.jpg", {"default.xml": CVAT}),
    "cvat-in-annotations": ("cvat", "images/1.jpg", {"annotations/task.xml": CVAT}),
    "globox-open-images": ("open_images", "images/1.jpg", {"boxes.csv": OPEN_IMAGES}),
    "open-images-by-name": (
        "open_images",
        "images/1.jpg",
        {"boxes.csv": OPEN_IMAGES.replace("\n1,", "\n1.jpg,")},
    ),
    "labelme": ("labelme", "1.jpg", {"1.json": labelme("1.jpg")}),
    "ultralytics": ("yolo", "images/1.jpg", {"labels/1.txt": YOLO, "data.yaml": "names: [cat]\n"}),
}


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_an_export_is_known_by_itself_and_its_boxes_are_where_they_were(
    name: str, packed: bool, tmp_path: Path
) -> None:
    """Else its folder `images` becomes a class of all pictures, and every box is lost."""
    kind, picture, files = EXPORTS[name]
    write_all(tmp_path / "export", files)
    picture_at(tmp_path / "export", picture)
    if packed:
        shutil.make_archive(str(tmp_path / "export"), "zip", tmp_path / "export")
    found = scanned(tmp_path / ("export.zip" if packed else "export"))
    assert found.kind == kind
    assert [objects(item) for item in found.items.values()] == [[CAT]]
    assert not found.rejected
    assert not found.files


def test_pictures_may_lie_elsewhere(tmp_path: Path) -> None:
    """Label Studio exports labels alone; pictures stay in its storage."""
    picture_at(tmp_path / "upload/1", "1a2b3c4d-1.jpg")
    write_all(tmp_path / "yolo", {"labels/1a2b3c4d-1.txt": YOLO, "classes.txt": "cat\n", "notes.json": "{}"})
    write_all(tmp_path / "coco", {"result.json": coco("/data/upload/1/1a2b3c4d-1.jpg")})
    for kind in ("yolo", "coco"):
        found = scanned(tmp_path / kind, images_url=str(tmp_path / "upload"))
        assert (found.kind, [objects(item) for item in found.items.values()]) == (kind, [[CAT]])
        assert not found.rejected


def test_several_coco_jsons_are_those_of_the_parts_of_one_source(tmp_path: Path) -> None:
    write_all(tmp_path, {"train/_annotations.coco.json": coco(), "valid/_annotations.coco.json": coco()})
    picture_at(tmp_path, "train/1.jpg", "valid/1.jpg")
    found = scanned(tmp_path)
    assert (found.kind, len(found.items)) == ("coco", 2)


def test_other_json_beside_pictures_is_no_labels(tmp_path: Path) -> None:
    captions = json.dumps({"caption": "a cat", "annotations": "none", "images": 1})
    write_all(tmp_path, {"cat/1.json": captions, "about.json": '{"images": 1, "annotations": [], "licence": "x"}'})
    picture_at(tmp_path, "cat/1.jpg", "images/2.jpg", "no_label/3.jpg")
    found = scanned(tmp_path)
    assert found.kind == "folder"
    labels = {item.uri: [one.label for one in item.annotations.labels] for item in found.items.values()}
    assert labels == {
        "src/cat/1.jpg": ["cat"],
        "src/images/2.jpg": [],
        "src/no_label/3.jpg": [],
    }  # what all pictures are is no class


def test_lists_of_voc_without_xml_are_labels(tmp_path: Path) -> None:
    """Datumaro's `voc_classification`."""
    write_all(tmp_path, {"ImageSets/Main/cat_train.txt": "1  1\n2 -1\n", "ImageSets/Main/train.txt": "1\n2\n"})
    picture_at(tmp_path, "JPEGImages/1.jpg", "JPEGImages/2.jpg")
    found = scanned(tmp_path)
    said = {name: (item.annotations.labels, item.annotations.absences) for name, item in found.items.items()}
    assert found.kind == "voc"
    assert [[one.label for one in kind] for both in said.values() for kind in both] == [["cat"], [], [], ["cat"]]


def test_supervision_adds_one_to_left_and_top(tmp_path: Path) -> None:
    """It numbers pixels from 1 and says that it is Roboflow, which does not."""
    corners = {"xmin": 11, "ymin": 21, "xmax": 40, "ymax": 50}
    of_supervision = voc("1.jpg", corners, folder="VOC", database="roboflow.ai")
    of_roboflow = voc("2.jpg", corners, folder="", database="roboflow.com")
    write_all(tmp_path, {"annotations/1.xml": of_supervision, "annotations/2.xml": of_roboflow})
    picture_at(tmp_path, "images/1.jpg", "images/2.jpg")
    boxes = [objects(item)[0][1] for item in scanned(tmp_path).items.values()]
    assert boxes == [(10, 20, 40, 50), (11, 21, 40, 50)]


def test_a_box_of_labelme_s_xml_has_no_mask(tmp_path: Path) -> None:
    points = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((10.5, 20), (40, 20), (40, 50.5), (10.5, 50.5)))
    one = f"<object><name>cat</name><type>bounding_box</type><polygon>{points}</polygon></object>"
    write_all(tmp_path, {"Annotations/default/1.xml": f"<annotation><filename>1.jpg</filename>{one}</annotation>"})
    picture_at(tmp_path, "Images/default/1.jpg")
    (item,) = scanned(tmp_path).items.values()
    assert objects(item) == [CAT]
    assert not item.annotations.regions[0].masks


def test_a_mask_of_open_images_without_a_box_has_its_own(tmp_path: Path) -> None:
    """Datumaro leaves the corners of masks empty."""
    mask = np.zeros((120, 160), np.uint8)
    mask[20:50, 10:40] = 255
    mask[30:40, 20:30] = 0
    picture_at(tmp_path, "images/1.jpg")
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks/1_cat.png")
    header = "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
    rows = {"annotations/train-annotations-object-segmentation.csv": f"{header}1_cat.png,1,cat,0,,,,,,\n"}
    found = scanned(write_all(tmp_path, rows))
    (item,) = found.items.values()
    ((texts, box),) = objects(item)
    assert texts == CAT[0]
    assert box == pytest.approx((10, 20, 40, 50), abs=0.25)
    assert len(item.annotations.regions[0].masks) == 1
    assert found.passed_over["hole_filled", ""] == 1  # no polygon has a hole, and nobody is left to find that out


def test_metadata_in_a_single_zip_is_read(tmp_path: Path) -> None:
    picture_at(tmp_path / "set/train", "1.jpg")
    write_all(tmp_path / "set", {"train/metadata.jsonl": '{"file_name": "1.jpg", "text": "a cat"}\n'})
    shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set")
    (item,) = scanned(tmp_path / "set.zip").items.values()
    assert [text.text for text in item.annotations.texts] == ["a cat"]


@pytest.mark.parametrize(
    ("rows", "number"),
    [
        (["###", "#.#", "###"], 1),
        (["####", "#..#", "#.##", "###."], 3),
        (["#####", "#...#", "#.#.#", "#...#", "#####"], 8),  # the island in the hole is the mask's own
        (["##.", "#.#", ".##"], 1),  # closed at corners
        (["###", "#..", "###"], 0),
        (["#..", ".#.", "..#"], 0),
    ],
)
def test_pixels_of_holes_are_counted(rows: list[str], number: int) -> None:
    mask = np.array([[pixel == "#" for pixel in row] for row in rows], np.uint8)
    assert num_filled(mask_polygons(mask), mask) == number
