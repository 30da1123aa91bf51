"""Pascal VOC as the challenge, labelImg and CVAT have it, through the reader and a whole ingest."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.sources.places import authors_of, boxes_of, classes_of, not_in_labels, passed_over, read_all
from tests.known_faults.field import ingested, write, write_pictures
from tests.known_faults.pictures import WH


def xml(filename: str, *objects: str, database: str = "Unknown", wh: tuple[int, int] = WH) -> str:
    return (
        f"<annotation><folder>x</folder><filename>{filename}</filename><source><database>{database}</database></source>"
        f"<size><width>{wh[0]}</width><height>{wh[1]}</height><depth>3</depth></size><segmented>0</segmented>"
        f"{''.join(objects)}</annotation>"
    )


def box(name: str, *corners: float, more: str = "") -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


@pytest.fixture
def devkit(tmp_path: Path) -> Path:
    """VOC2007 as its tar unpacks."""
    base = tmp_path / "VOCdevkit/VOC2007"
    write_pictures(base / "JPEGImages", "000001.jpg", "000002.jpg", "000003.jpg")
    voc = "The VOC2007 Database"
    part = "<part><name>head</name><bndbox><xmin>11</xmin><ymin>11</ymin><xmax>20</xmax><ymax>20</ymax></bndbox></part>"
    flags = "<pose>Left</pose><truncated>1</truncated><difficult>0</difficult>"
    person = box("person", 1, 1, 160, 120, more=flags + part)
    hard = box("dog", 21, 31, 70, 70, more="<pose>Unspecified</pose><truncated>0</truncated><difficult>1</difficult>")
    write(base / "Annotations/000001.xml", xml("000001.jpg", person, database=voc))
    write(base / "Annotations/000002.xml", xml("000002.jpg", hard, database=voc))
    lists = base / "ImageSets/Main"
    write(lists / "train.txt", "000001\n000002\n")
    write(lists / "person_train.txt", "000001  1\n000002 -1\n")
    write(lists / "dog_train.txt", "000001 -1\n000002  0\n")
    write(lists / "dog_trainval.txt", "000001 -1\n000002  0\n000003 -1\n")
    write(base / "SegmentationClass/000001.png", b"")
    return tmp_path


def test_the_releases_of_the_challenge_number_pixels_from_1(devkit: Path) -> None:
    root = ingested(devkit, {"url": "VOCdevkit"})
    one, two, three = (f"VOC2007/JPEGImages/00000{number}.jpg" for number in (1, 2, 3))
    assert boxes_of(root) == [
        (one, "head", (10, 10, 20, 20)),
        (one, "person", (0, 0, 160, 120)),
        (two, "dog", (20, 30, 70, 70)),
    ]
    assert classes_of(root) == [(one, "person")]
    assert classes_of(root, "absences") == [(one, "dog"), (two, "person"), (three, "dog")]
    assert authors_of(root, "regions", "labels", "absences") == {"human"}
    assert passed_over(root) == {"not_kept": 3, "difficult": 1}
    assert not root.quarantine()
    assert not_in_labels(root) == 1  # the mask


def test_labelimg_writes_edges_beside_the_images(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", "a.jpg", "sub/b.png", "plain.jpg")
    write(tmp_path / "in/a.xml", xml("a.jpg", box("cup", 20, 30, 70, 70)))
    write(tmp_path / "in/sub/b.xml", xml("was another name.png", box("pot", 0, 0, 160, 120)))
    root = ingested(tmp_path, {"url": "in"})
    assert boxes_of(root) == [("a.jpg", "cup", (20, 30, 70, 70)), ("sub/b.png", "pot", (0, 0, 160, 120))]


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        ("<object><name>cup</name><robndbox><cx>5</cx></robndbox></object>", "box_rotated"),
        ("<object><name/><bndbox><xmin>1</xmin></bndbox></object>", "no_class"),
        (box("cup", 5, 5, 5, 9), "box_empty"),
        (box("cup", 200, 5, 210, 9), "box_outside"),
        ("<object><name>cup</name><bndbox><xmin>a</xmin></bndbox></object>", "box_malformed"),
        ("<object><name>cup</name></object>", "form_not_read"),
    ],
)
def test_an_object_that_is_none_is_refused_by_name_and_its_neighbours_go_on(
    tmp_path: Path, drawn: str, reason: str
) -> None:
    write_pictures(tmp_path / "in/JPEGImages", "a.jpg")
    write(tmp_path / "in/Annotations/a.xml", xml("a.jpg", drawn, box("pot", 1, 2, 3, 4)))
    (item,), refused, _ = read_all(tmp_path / "in")
    assert [one.reason for one in refused] == [reason]
    assert [region.texts[0].text for region in item.annotations.regions] == ["pot"]


def test_a_polygon_is_a_mask_and_a_file_of_another_picture_refused(tmp_path: Path) -> None:
    corners = "".join(f"<x{i}>{x}</x{i}><y{i}>{y}</y{i}>" for i, (x, y) in enumerate([(20, 30), (70, 30), (70, 70)], 1))
    outline = f"<object><name>cup</name><polygon>{corners}</polygon></object>"
    write_pictures(tmp_path / "in/JPEGImages", "a.jpg", "b.jpg")
    write(tmp_path / "in/Annotations/a.xml", xml("a.jpg", outline))
    write(tmp_path / "in/Annotations/b.xml", xml("b.jpg", outline, wh=(640, 480)))
    (item, _), (mismatch,), _ = read_all(tmp_path / "in")
    (region,) = item.annotations.regions
    assert region.box_xyxy == (20, 30, 70, 70)
    assert region.masks[0].polygons == ((20, 30, 70, 30, 70, 70),)
    assert mismatch.reason == "frame_mismatch"


def test_xml_that_defines_entities_is_not_expanded(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in/JPEGImages", "a.jpg")
    bomb = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]>' + xml("a.jpg", box("&c;", 1, 2, 3, 4))
    write(tmp_path / "in/Annotations/a.xml", bomb)
    (item,), (refused,), _ = read_all(tmp_path / "in")
    assert (refused.reason, item.annotations.regions) == ("bad_record", ())
