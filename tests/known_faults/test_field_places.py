"""Places and words of COCO that come out bent: frames, forms of boxes, labels with accents, crowded pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.hostile import ORIENTATION_TAG
from tests.known_faults.field import (
    AT,
    BT,
    LABELS,
    A,
    B,
    Row,
    box,
    image,
    ingested,
    labels,
    said_of,
    write,
    write_pictures,
)
from tests.known_faults.pictures import WH, as_bytes, jpeg, picture

# ------------------------------------------------------------------------------------------------ places


def on_its_side() -> bytes:
    """Stored as 160 x 120, to be shown as 120 x 160, turned to the right by a quarter (EXIF 6)."""
    exif = Image.Exif()
    exif[ORIENTATION_TAG] = 6
    return as_bytes(picture(1), exif=exif)


@pytest.mark.parametrize(
    ("xywh", "settings", "right"),
    [
        pytest.param(
            [20, 30, 50, 40],
            {"exif": "applied"},
            (20, 30, 70, 70),
            id="boxes of the upright picture",
        ),
        pytest.param(
            [30, 50, 40, 50],
            {"exif": "raw"},
            (20, 30, 70, 70),
            id="boxes of the stored pixels",
        ),
        pytest.param(
            [110, 10, 40, 30],
            {},
            (80, 110, 110, 150),
            id="a box that only the stored frame holds",
        ),
    ],
)
def test_boxes_of_a_turned_picture_follow_it(tmp_path: Path, xywh: list[int], settings: Row, right: Any) -> None:
    """The json's size is that of the stored pixels in all cases; Label Studio's boxes are of the upright picture, those
    of VoTT and coco-annotator of the stored one.

    Turned to the right, what was at (x, y) of 120 rows is at (120 - y, x). With the wrong frame a phone's portrait
    pictures teach places where nothing is; refused, all of them are lost.
    """
    write(tmp_path / "images/phone.jpg", on_its_side())
    write(tmp_path / "labels.json", labels([image(1, "phone.jpg")], [box(1, 1, 1, xywh)], "cup"))
    assert said_of(ingested(tmp_path, {**LABELS, **settings})).objects == [("cup", right)]


CORNERS = [{**box(0, 1, 1, [x1, y1, x2, y2]), "area": (x2 - x1) * (y2 - y1)} for x1, y1, x2, y2 in (AT, BT)]
FRACTIONS = [box(i, 1, 1, [x / WH[0], y / WH[1], w / WH[0], h / WH[1]]) for i, (x, y, w, h) in enumerate((A, B))]
ROTATED = [box(1, 1, 1, [40, 50, 80, 10], attributes={"rotation": 90.0})]


@pytest.mark.parametrize(
    ("drawn", "true"),
    [
        pytest.param(CORNERS, {AT, BT}, id="corners, with areas that say so"),
        pytest.param(FRACTIONS, {AT, BT}, id="fractions of the picture"),
        pytest.param(ROTATED, {(75, 15, 85, 95)}, id="CVAT's rotated rectangle"),
    ],
)
def test_boxes_in_another_form_are_understood_or_refused(
    tmp_path: Path, drawn: list[Row], true: set[tuple[int, ...]]
) -> None:
    """No box but a true one comes out, and each that does not is rejected with its cause.

    An 80 x 10 rectangle turned by 90 degrees about its centre (80, 55) is 10 x 80 around it.
    """
    write_pictures(tmp_path / "images", "1.jpg")
    write(tmp_path / "labels.json", labels([image(1, "1.jpg")], drawn, "pen"))
    said = said_of(ingested(tmp_path, LABELS))
    assert {place for _, place in said.objects} <= true
    assert said.objects or said.rejected


def test_declared_absence_is_kept(tmp_path: Path) -> None:
    """People looked for a cup on the second picture and found none: LVIS says so in `neg_category_ids`.

    Lost, nothing tells a picture without cups from one that nobody looked at, and no detector is taught to say no.
    """
    write_pictures(tmp_path / "images", "1.jpg", "2.jpg")
    records = [image(1, "1.jpg"), image(2, "2.jpg", neg_category_ids=[1])]
    write(tmp_path / "labels.json", labels(records, [box(1, 1, 1, A)], "cup"))
    root = ingested(tmp_path, LABELS)
    ids = {row["uri"]: row["id"] for row in root.rows("images")}
    assert [row["image_id"] for row in root.rows("absences")] == [ids["src#2.jpg"]]


# ------------------------------------------------------------------------------------------------ words


def targets_of(folder: Path, wh: tuple[int, int], drawn: list[Row], *names: str) -> dict[str, list[str]]:
    """Task → targets of the one exported picture."""
    write(folder / "images/1.jpg", jpeg(1, wh))
    write(folder / "labels.json", labels([image(1, "1.jpg", width=wh[0], height=wh[1])], drawn, *names))
    root = ingested(folder, LABELS)
    root.run_all()
    (sample,) = root.samples()
    found: dict[str, list[str]] = {}
    for target in sample["targets"]:
        found.setdefault(target["task"], []).append(target["target"])
    return found


def test_a_label_with_accents_is_spelt_without_them_and_not_mutilated(tmp_path: Path) -> None:
    """Florence-2's own parser drops what is not ASCII from labels, so they are spelt without: jalapeno, not jalapeo.

    A word that does not exist is what a student learns to say.
    """
    names = ("jalapeño", "crème brûlée", "naïve art")
    drawn = [box(i, 1, i, [2 + 50 * i, 10, 40, 30]) for i in (1, 2)] + [box(3, 1, 3, [10, 70, 60, 30])]
    (said,) = targets_of(tmp_path, WH, drawn, *names)["<OD>"]
    assert [name for name in ("jalapeno", "creme brulee", "naive art") if name not in said] == []


def test_a_crowded_picture_has_no_target_that_claims_to_be_all_of_it(tmp_path: Path) -> None:
    """400 boxes do not fit into 1,024 tokens. An answer to "locate all" that holds some teaches to stop early.

    Today it is the topmost 250: whatever lies at the bottom of crowded pictures is taught to be no object.
    """
    drawn = [
        box(r * 20 + c, 1, 1 + (r + c) % 3, [4 + c * 31, 4 + r * 23, 26, 18]) for r in range(20) for c in range(20)
    ]
    targets = targets_of(tmp_path, (640, 480), drawn, "bolt", "washer", "nut")
    for said in targets.get("<OD>", []) + targets.get("<REGION_PROPOSAL>", []):
        assert said.count("<loc_") == 4 * len(drawn)
