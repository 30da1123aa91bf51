"""COCO as nobody specified it: what can mean one thing is read as that, what can mean two is refused with the cure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.sources.item import PassedOver, Rejected, SourceItem, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from fld_engine.engine.sources.values import Ids, id_key, number, numbers
from fld_engine.schemas.errors import ConfigError, SourceError
from tests.known_faults.field import AT, BT, A, B, Row, box, compressed, image, labels, write, write_pictures
from tests.known_faults.pictures import WH

Found = tuple[SourceItem, list[Rejected], list[PassedOver]]


def read(folder: Path, tree: Any, **spec: Any) -> Found:
    """The first image that a json has, and all that is rejected or passed over."""
    write_pictures(folder / "images", "1.jpg")
    write(folder / "labels.json", json.dumps(tree))
    given = SourceSpec(url=f"{folder}/labels.json", images_url=f"{folder}/images", name="src", **spec)
    over: list[PassedOver] = []
    found = [one for c in open_source(given).chunks() for one in read_chunk(c, passed_over=over.append)]
    (item,) = [one[0] for one in found if not isinstance(one, Rejected)]
    return item, [one for one in found if isinstance(one, Rejected)], over


def objects(item: SourceItem) -> list[tuple[str, tuple[int, ...]]]:
    return [(r.texts[0].text, tuple(round(v) for v in r.box_xyxy)) for r in item.annotations.regions]


def one(drawn: Row, **more: Any) -> Row:
    return labels([image(1, "1.jpg", **more)], [drawn], "cup")


def test_ids_are_one_whatever_their_type() -> None:
    assert {id_key(value) for value in (12, 12.0, "12", " 12 ", "12.0")} == {"12"}
    assert id_key("1,234") == id_key(1234) == "1234"
    assert [id_key(value) for value in (None, True, 1.5, float("nan"), [1], "", "a-1")] == [""] * 6 + ["a-1"]
    assert Ids({"000139": 0}).find(139) == "000139"
    assert Ids({"139": 0}).find("000139") == "139"
    assert Ids({"0139": 0, "00139": 0}).find(139) == "", "either may be meant"


def test_numbers_are_read_where_they_are_certain() -> None:
    assert [number(v) for v in ("1.5", " 2 ", "12,5", 3)] == [1.5, 2, 12.5, 3]
    assert numbers("[20, 30, 50, 40]") == numbers("20 30 50 40") == numbers("20,30,50,40") == A
    for value in ("1,234", "", "a", None, True, [1]):
        with pytest.raises(ValueError):
            number(value)


OUTLINE = [20, 30, 70, 30, 70, 70, 20, 70]
POINTS = [[20, 30], [70, 30], [70, 70], [20, 70]]
RLE = {"size": [WH[1], WH[0]], "counts": compressed(A)}
SAME = [
    {"bbox": "20,30,50,40"},
    {"bbox": "[20, 30, 50, 40]"},
    {"bbox": [A]},
    {"bbox": {"x": 20, "y": 30, "width": 50, "height": 40}},
    {"bbox": {"xmin": "20", "ymin": "30", "xmax": "70", "ymax": "70"}},
    {"bbox": list(AT), "bbox_mode": 0},
    {"bbox": None, "segmentation": [OUTLINE]},
    {"bbox": [], "segmentation": OUTLINE},
    {"bbox": [0, 0, 0, 0], "segmentation": [OUTLINE]},
    {"segmentation": POINTS},
    {"segmentation": [POINTS]},
    {"segmentation": [[{"x": x, "y": y} for x, y in POINTS]]},
    {"segmentation": json.dumps([OUTLINE])},
    {"segmentation": [[], OUTLINE]},
    {"segmentation": [[str(v) for v in OUTLINE]]},
    {"segmentation": [RLE]},
    {"segmentation": {**RLE, "counts": f'b"{compressed(A)}"'}},
    {"segmentation": {**RLE, "size": [str(WH[1]), float(WH[0])]}},
    {"segmentation": {**RLE, "size": [WH[0], WH[1]]}},  # which way round, the box says
    {"segmentation": RLE, "iscrowd": "1", "attributes": {"occluded": False}},  # CVAT's brush
    {"segmentation": [[]]},
    {"segmentation": [{}]},
    {"segmentation": {"size": [], "counts": []}},
    {"image_id": "1.jpg"},
    {"image_id": "01"},
    {"category_id": "cup"},
    {"category_id": None, "category_name": "cup"},
    {"attributes": {"rotation": 360.0}},
]


@pytest.mark.parametrize("fields", SAME, ids=str)
def test_one_box_written_in_many_ways(tmp_path: Path, fields: Row) -> None:
    item, rejected, _ = read(tmp_path, one({**box(1, 1, 1, A), **fields}))
    assert (objects(item), [(r.reason, r.detail) for r in rejected]) == ([("cup", AT)], [])
    has_mask = bool(fields.get("segmentation")) and "[[]]" not in str(fields) and compressed(A) in str(fields)
    assert len(item.annotations.regions[0].masks) >= has_mask


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"bbox": [0.1, 0.2, 0.3, 0.4]}, "box_in_fractions"),
        ({"bbox": [20, 30, 50, 40, 12.5]}, "box_rotated"),
        ({"attributes": {"rotation": 30.5}}, "box_rotated"),
        ({"rotation": 90}, "box_rotated"),  # about a corner, or about the centre?
        ({"bbox": [20, 30, 50, 40], "bbox_mode": 4}, "box_form"),
        ({"bbox": [20, 30, 150, 110], "area": None}, "box_form"),  # leaves the image, as corners it does not
        ({"bbox": None}, "box_malformed"),
        ({"bbox": "here"}, "box_malformed"),
        ({"iscrowd": 1}, "crowd"),
        ({"category_id": 1.5}, "dangling_id"),
        ({"score": 97, "fld_annotator": "m"}, "bad_score"),
    ],
    ids=str,
)
def test_what_may_mean_two_things_is_refused_with_the_cure(tmp_path: Path, fields: Row, reason: str) -> None:
    item, rejected, _ = read(tmp_path, one({**box(1, 1, 1, A), **fields}))
    assert (objects(item), [r.reason for r in rejected]) == ([], [reason])


def test_corners_are_told_by_the_whole_file_and_never_by_one_box(tmp_path: Path) -> None:
    def corner(number: int, xyxy: tuple[int, ...]) -> Row:
        return {**box(number, 1, 1, xyxy), "area": (xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])}

    (tmp_path / "whole").mkdir()
    outlined = {**box(3, 1, 1, BT), "area": 7, "segmentation": [[90, 20, 130, 20, 130, 70]]}
    item, _, _ = read(tmp_path / "whole", labels([image(1, "1.jpg")], [corner(1, AT), outlined], "cup"))
    assert [place for _, place in objects(item)] == [AT, BT]
    item, rejected, _ = read(tmp_path, labels([image(1, "1.jpg")], [corner(1, AT), box(2, 1, 1, B)], "cup"))
    assert [place for _, place in objects(item)] == [BT], "the file is COCO's, and one box of it is not"
    assert [r.reason for r in rejected] == ["box_form"]


def test_crowds_are_as_the_source_says(tmp_path: Path) -> None:
    drawn = one(box(1, 1, 1, A, iscrowd=1, segmentation=RLE, attributes={"occluded": True}))
    assert len(read(tmp_path, drawn, crowd="keep")[0].annotations.regions[0].masks) == 1
    item, (rejected,), _ = read(tmp_path, drawn, crowd="drop")
    assert not item.annotations.regions
    assert "crowd: keep" in rejected.detail


def test_annotations_without_a_place_are_labels_of_the_image(tmp_path: Path) -> None:
    item, rejected, _ = read(tmp_path, one({"id": 1, "image_id": 1, "category_id": "1"}))
    assert [(one.label, one.score, one.source and one.source.annotator) for one in item.annotations.labels] == [
        ("cup", 1.0, "human")
    ]
    assert not rejected


def test_panoptic_segments_and_keypoints_are_what_they_are(tmp_path: Path) -> None:
    """Things are objects, stuff is a class of the image; the masks in another PNG and the points are named."""
    segments = [{"id": 7, "category_id": 1, "bbox": A}, {"id": 8, "category_id": 2, "bbox": B}]
    tree = labels([image(1, "1.jpg")], [{"image_id": 1, "file_name": "1.png", "segments_info": segments}], "cup", "sky")
    tree["categories"][1]["isthing"] = 0
    tree["annotations"].append(box(9, 1, 1, B, keypoints=[1, 2, 2], num_keypoints=1))
    item, rejected, over = read(tmp_path, tree)
    assert objects(item) == [("cup", AT), ("cup", BT)]
    assert [label.label for label in item.annotations.labels] == ["sky"]
    assert (rejected, [(o.reason, o.number) for o in over]) == ([], [("form_not_read", 2), ("form_not_read", 1)])


@pytest.mark.parametrize("categories", [["cup", "pot"], {"0": "cup", "1": "pot"}, {"0": {"name": "cup"}, "1": "pot"}])
def test_categories_may_be_names_or_an_object(tmp_path: Path, categories: Any) -> None:
    drawn = [box(1, 1, 0, A), box(2, 1, "1", B)]
    item, _, _ = read(tmp_path, {"images": [image(1, "1.jpg")], "annotations": drawn, "categories": categories})
    assert objects(item) == [("cup", AT), ("pot", BT)]


def test_names_of_categories_alone_say_nothing_where_the_first_may_be_0_or_1(tmp_path: Path) -> None:
    tree = {"images": [image(1, "1.jpg")], "annotations": [box(1, 1, 1, A)], "categories": ["cup", "pot"]}
    item, (rejected,), _ = read(tmp_path, tree)
    assert not item.annotations.regions
    assert "0 or 1" in rejected.detail


@pytest.mark.parametrize(
    "record",
    [
        {"file_name": "C:\\Users\\me\\images\\1.jpg"},
        {"filename": "1.jpg"},
        {"path": "/datasets/set/1.jpg"},
        {"coco_url": "http://images.cocodataset.org/val2017/1.jpg"},
        {"file_name": "", "path": "1.jpg"},
        {"file_name": "1.jpg", "width": float("nan"), "height": None},
        {"file_name": "1.jpg", "annotations": [{"category_id": 1, "bbox": A}]},
    ],
    ids=str,
)
def test_a_picture_may_be_named_in_another_field(tmp_path: Path, record: Row) -> None:
    tree = {"images": [{"id": "1", **record}], "categories": [{"id": 1, "name": "cup"}]}
    if "annotations" not in record:
        tree["annotations"] = [box(1, 1.0, 1, A)]
    assert objects(read(tmp_path, tree)[0]) == [("cup", AT)]


def test_labels_of_an_id_that_two_pictures_have_go_to_neither(tmp_path: Path) -> None:
    """Two jsons that both number from 1, put together: the boxes of one would be drawn on the other."""
    tree = labels([image(1, "1.jpg"), image(1, "2.jpg")], [box(1, 1, 1, A)], "cup")
    item, rejected, _ = read(tmp_path, tree)
    assert not item.annotations.regions
    assert [r.reason for r in rejected] == ["duplicate_key", "ambiguous_id"]


def test_negatives_of_lvis_are_absences_and_unfinished_categories_are_counted(tmp_path: Path) -> None:
    tree = labels([image(1, "1.jpg", neg_category_ids=["2", 9], not_exhaustive_category_ids=[1])], [], "cup", "pot")
    item, (rejected,), (over,) = read(tmp_path, tree)
    assert [(one.label, one.source and one.source.annotator) for one in item.annotations.absences] == [("pot", "human")]
    assert (rejected.reason, over.reason, over.number) == ("dangling_id", "not_exhaustive", 1)


def test_predictions_are_somebodys_or_are_refused(tmp_path: Path) -> None:
    """A model's boxes that are called human, with score 1, are never judged again."""
    tree = one(box(1, 1, 1, A, score=0.25))
    with pytest.raises(SourceError, match="set made_by"):
        read(tmp_path, tree)
    with pytest.raises(ConfigError, match="made_by"):
        read(tmp_path, tree, made_by="refinement")
    (region,) = read(tmp_path, tree, made_by="yolo")[0].annotations.regions
    assert region.source is not None
    assert (region.score, region.source.annotator, region.texts[0].score) == (0.25, "yolo", 0.25)
    with pytest.raises(SourceError, match=r"list of results.*made_by"):
        read(tmp_path, tree["annotations"])


def test_a_picture_has_the_licence_that_the_json_gives_it(tmp_path: Path) -> None:
    tree = {**one(box(1, 1, 1, A), license="3"), "licenses": [{"id": 3, "name": "CC BY 4.0", "url": "u"}]}
    assert read(tmp_path, tree)[0].licence == "CC BY 4.0"


def test_what_is_missing_is_named_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"'one.jpg' for one; set images_url .*nearest name is '1.jpg'"):
        read(tmp_path, labels([image(1, "one.jpg")], [], "cup"))
    with pytest.raises(SourceError, match="bad_record"):
        read(tmp_path, {"images": [{"id": 1}]})
