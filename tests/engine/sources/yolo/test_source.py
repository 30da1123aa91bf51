"""YOLO as ultralytics, Roboflow, Darknet and labelImg have it, through the reader and a whole ingest."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.schemas.errors import ConfigError, SourceError
from tests.engine.sources.places import authors_of, boxes_of, passed_over, read_all
from tests.known_faults.field import ingested, write, write_pictures

NAMES = "path: .\ntrain: images/train\nnames:\n  0: cup\n  1: pot\n"
CUP = "0 0.28125 0.41667 0.3125 0.33333"  # 20 30 70 70 of 160 x 120
TURNED = "1 0.5 0.25 0.75 0.5 0.5 0.75 0.25 0.5"
POSE = "0 0.5 0.5 0.5 0.5 0.4 0.4 2 0.6 0.6 1"


def test_ultralytics_boxes_of_a_split_and_an_image_with_nothing_on_it(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in/images", "train/a.jpg", "train/empty.jpg", "val/b.png")
    write(tmp_path / "in/data.yaml", NAMES)
    write(tmp_path / "in/labels/train/a.txt", f"{CUP}\n1 0.5 0.5 1 1\n")
    write(tmp_path / "in/labels/val/b.txt", "1 0.95 0.5 0.2 0.5\n7 0.5 0.5 0.1 0.1\n")
    root = ingested(tmp_path, {"url": "in"})
    assert len(root.rows("images")) == 3
    assert boxes_of(root) == [
        ("images/train/a.jpg", "cup", (20, 30, 70, 70)),
        ("images/train/a.jpg", "pot", (0, 0, 160, 120)),
        ("images/val/b.png", "pot", (136, 30, 160, 90)),
    ]
    assert authors_of(root, "regions", "region_texts") == {"human"}
    assert [(row["reason"], row["uri"]) for row in root.quarantine()] == [
        ("dangling_id", "src#annotation/labels/val/b.txt#line/2")
    ]


@pytest.mark.parametrize(
    ("names_file", "image", "label"),
    [
        ("data.yaml", "train/images/a.jpg", "train/labels/a.txt"),  # Roboflow
        ("classes.txt", "images/a.jpg", "labels/a.txt"),  # Label Studio
        ("classes.txt", "a.jpg", "a.txt"),  # labelImg
        ("obj.names", "obj_train_data/a.jpg", "obj_train_data/a.txt"),  # CVAT's YOLO 1.1
        ("dataset.yaml", "images/train/2017/a.v2.jpg", "labels/train/2017/a.v2.txt"),
    ],
)
def test_where_tools_have_labels_and_names(tmp_path: Path, names_file: str, image: str, label: str) -> None:
    write_pictures(tmp_path / "in", image)
    write(tmp_path / "in" / label, CUP)
    write(tmp_path / "in" / names_file, "names: [cup, pot]\n" if "yaml" in names_file else "cup\npot\n")
    write(tmp_path / "in/train.txt", image)
    (item,), refused, _ = read_all(tmp_path / "in")
    assert (item.uri, refused) == (f"src#{image}", [])
    assert [(one.texts[0].text, one.box_xyxy) for one in item.annotations.regions] == [("cup", (20, 30, 70, 70))]


def one_line(folder: Path, *lines: str, data: str = NAMES) -> Path:
    write_pictures(folder / "in/images", "a.jpg")
    write(folder / "in/data.yaml", data)
    write(folder / "in/labels/a.txt", "\n".join(lines))
    return folder / "in"


def test_polygons_are_masks_with_the_box_around_them(tmp_path: Path) -> None:
    (item,), _, _ = read_all(one_line(tmp_path, "0 0.25 0.25 0.5 0.25 0.5 0.5", "1 0 0 1 0 1 1 0.5 1 0 1", CUP))
    cup, pot, box = item.annotations.regions
    assert (cup.box_xyxy, cup.masks[0].polygons) == ((40, 30, 80, 60), ((40, 30, 80, 30, 80, 60),))
    assert (pot.box_xyxy, len(pot.masks[0].polygons[0])) == ((0, 0, 160, 120), 10)
    assert (box.box_xyxy, box.masks) == ((20, 30, 70, 70), ())


@pytest.mark.parametrize(("task", "rotated"), [("segment", 0), ("obb", 1)])
def test_four_corners_are_what_the_task_says(tmp_path: Path, task: str, rotated: int) -> None:
    folder = one_line(tmp_path, TURNED)
    with pytest.raises(SourceError, match=r"params\.task to segment or obb"):
        read_all(folder)
    (item,), _, passed = read_all(folder, kind="yolo", params={"task": task})
    (region,) = item.annotations.regions
    assert (region.box_xyxy, len(region.masks)) == ((40, 30, 120, 90), 1)
    assert [one.reason for one in passed] == ["box_rotated_as_outline"] * rotated


def test_the_box_of_a_pose_is_read_and_its_keypoints_are_counted(tmp_path: Path) -> None:
    root = ingested(tmp_path, {"url": str(one_line(tmp_path, POSE, data=f"{NAMES}kpt_shape: [2, 3]\n").name)})
    assert boxes_of(root) == [("images/a.jpg", "cup", (40, 30, 120, 90))]
    assert passed_over(root) == {"form_not_read": 2}


def test_predictions_are_the_models_that_made_them_or_refused(tmp_path: Path) -> None:
    folder = one_line(tmp_path, f"{CUP} 0.25")
    with pytest.raises(SourceError, match="set made_by on the source"):
        read_all(folder)
    with pytest.raises(ConfigError, match="a word of the engine"):
        read_all(folder, kind="yolo", made_by="refinement")
    (item,), _, _ = read_all(folder, kind="yolo", made_by="yolo11x")
    (region,) = item.annotations.regions
    assert (region.score, region.texts[0].score) == (0.25, 0.25)
    assert region.source is not None
    assert region.source.annotator == "yolo11x"


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.2", "0 20 30 50 40", "0 0.5 0.5 nan 0.1", "cup 0.5 0.5 0.1 0.1", "0 0.5 0.5 0 0.1"]
)
def test_a_line_that_is_none_is_refused_alone(tmp_path: Path, line: str) -> None:
    (item,), refused, _ = read_all(one_line(tmp_path, line, CUP), kind="yolo", params={"task": "detect"})
    assert len(item.annotations.regions) == len(refused) == 1


def test_labels_without_an_image_and_without_names_are_told(tmp_path: Path) -> None:
    folder = one_line(tmp_path, CUP)
    write(folder / "labels/gone.txt", f"{CUP}\n{CUP}")
    _, refused, passed = read_all(folder)
    assert [one.reason for one in refused] == ["missing"]
    assert [(one.reason, one.number, one.lost) for one in passed] == [("image_missing", 2, True)]
    (folder / "data.yaml").unlink()
    with pytest.raises(SourceError, match=r"set params\.names"):
        read_all(folder)


def test_a_folder_of_pictures_with_captions_is_no_yolo(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", "a.jpg")
    write(tmp_path / "in/a.txt", "a cup")
    (item,), _, _ = read_all(tmp_path / "in")
    assert item.uri == "src/a.jpg"
