"""CVAT for images 1.1, through the reader and a whole ingest."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.schemas.errors import SourceError
from tests.engine.sources.places import authors_of, boxes_of, classes_of, passed_over, read_all
from tests.known_faults.field import ingested, write, write_pictures

HEAD = (
    '<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version><meta><task><labels><label>'
    "<name>cup</name></label></labels></task></meta>"
)


def xml(*images: str) -> str:
    return f"{HEAD}{''.join(images)}</annotations>"


def image(name: str, *shapes: str, wh: str = 'width="160" height="120"') -> str:
    return f'<image id="0" name="{name}" {wh}>{"".join(shapes)}</image>'


CUP = '<box label="cup" source="manual" occluded="0" xtl="20.00" ytl="30.00" xbr="70.00" ybr="70.50" z_order="0"></box>'
AUTO = '<box label="pot" source="auto" occluded="0" xtl="90" ytl="20" xbr="130" ybr="70" z_order="0"></box>'
OUTLINE = (
    '<polygon label="cup" source="manual" occluded="1" points="20.00,30.00;70.00,30.00;70.00,70.00" z_order="0">'
    '<attribute name="colour">red</attribute></polygon>'
)
MASK = (  # rows of 3: .X. / XX. / .X.
    '<mask label="cup" source="semi-auto" occluded="0" rle="1, 1, 1, 2, 2, 1, 1" left="10" top="20" width="3" '
    'height="3" z_order="0"></mask>'
)
TURNED = '<box label="cup" source="manual" occluded="0" xtl="40" ytl="50" xbr="80" ybr="70" rotation="90.00"></box>'
OTHERS = (
    '<polyline label="cup" points="0,0;5,5"/><points label="cup" points="1,1"/><ellipse label="cup" cx="5" cy="5"/>'
    '<skeleton label="cup"><points label="1" points="1,1"/></skeleton><cuboid label="cup" xtl1="1"/>'
)


def test_every_shape_is_read_or_counted_by_its_name(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in/images", "a.jpg", "sub/b.jpg", "c.jpg")
    tag = '<tag label="good_frame" source="manual"></tag>'
    write(
        tmp_path / "in/annotations.xml",
        xml(image("a.jpg", CUP, OUTLINE, MASK, TURNED, OTHERS), image("sub/b.jpg", AUTO, tag), image("c.jpg")),
    )
    root = ingested(tmp_path, {"url": "in"})
    assert len(root.rows("images")) == 3
    assert boxes_of(root) == [
        ("images/a.jpg", "cup", (10, 20, 12, 23)),
        ("images/a.jpg", "cup", (20, 30, 70, 70)),
        ("images/a.jpg", "cup", (20, 30, 70, 70.5)),
        ("images/a.jpg", "cup", (50, 40, 70, 80)),
        ("images/sub/b.jpg", "pot", (90, 20, 130, 70)),
    ]
    assert classes_of(root) == [("images/sub/b.jpg", "good_frame")]
    assert {row["x1"]: row["annotator"] for row in root.rows("regions")}[90] == "cvat-auto"
    assert authors_of(root, "regions", "labels") == {"human", "cvat-auto"}
    assert len(root.rows("masks")) == 3
    assert not root.quarantine()
    assert passed_over(root) == {
        "not_kept": 2,  # the colour, and that it is occluded
        "box_rotated_as_outline": 1,
        "form_not_read": 5,  # polyline, points, ellipse, skeleton, cuboid
    }


def test_a_box_that_is_turned_is_its_outline_with_the_box_around_it(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", "a.jpg")
    write(tmp_path / "in/annotations.xml", xml(image("a.jpg", TURNED)))
    (item,), _, _ = read_all(tmp_path / "in/annotations.xml")
    (region,) = item.annotations.regions
    assert region.box_xyxy == (50, 40, 70, 80)
    assert set(zip(region.masks[0].polygons[0][::2], region.masks[0].polygons[0][1::2], strict=True)) == {
        (50, 40), (70, 40), (70, 80), (50, 80)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (CUP.replace("20.00", "far"), "box_malformed"),
        (CUP.replace('xtl="20.00"', ""), "box_malformed"),
        (CUP.replace('label="cup"', ""), "no_class"),
        (MASK.replace('rle="1, 1', 'rle="9, 9'), "box_malformed"),
        (OUTLINE.replace(";70.00,30.00", ""), "bad_mask"),
        (CUP.replace("20.00", "70.00"), "box_empty"),
    ],
)
def test_a_shape_that_is_none_is_refused_alone(tmp_path: Path, shape: str, reason: str) -> None:
    write_pictures(tmp_path / "in", "a.jpg")
    write(tmp_path / "in/annotations.xml", xml(image("a.jpg", shape, AUTO)))
    (item,), refused, _ = read_all(tmp_path / "in")
    assert refused[0].reason == reason
    assert [one.texts[0].text for one in item.annotations.regions] == ["pot"]


def test_an_export_of_video_is_refused_with_what_to_do(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", "frame_000000.png")
    write(tmp_path / "in/annotations.xml", xml('<track id="0" label="cup"></track>'))
    with pytest.raises(SourceError, match="CVAT for images"):
        read_all(tmp_path / "in")


def test_a_tasks_folders_and_a_missing_image(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in/images/default", "a.jpg")
    write(tmp_path / "in/annotations.xml", xml(image("a.jpg", CUP), image("gone.jpg", CUP, CUP)))
    (item,), refused, passed = read_all(tmp_path / "in")
    assert item.uri == "src#images/default/a.jpg"
    assert [one.reason for one in refused] == ["missing"]
    assert [(one.number, one.lost) for one in passed] == [(2, True)]
