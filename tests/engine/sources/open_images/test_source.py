"""Open Images: people's words, machines' words and people's denials arrive as what they are, on the right image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import SourceError
from tests.engine.sources.layouts import Found, objects, phrases, picture_at, scanned, write_all
from tests.known_faults.in_process import new_root, plain_config

ONE, TWO, BARE, GONE = "0001eeaf4aed83f9", "000595fe6fee6369", "00075905539074f2", "000a1249af2bc5f0"
BOX_COLUMNS = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)

V6 = {
    "oidv6-class-descriptions.csv": (
        "LabelName,DisplayName\n/m/04yx4,Man\n/m/0342h,Guitar\n/m/0cmf2,Airplane\n/m/02xwb,Fruit\n"
        '/m/09j5n,"Shoe, high"\n'
    ),
    "oidv6-attributes-description.csv": "/m/083vt,Wooden\n",
    "oidv6-relationships-description.csv": "holds,holds\ninside_of,inside of\nis,is\n",
    "oidv6-train-annotations-bbox.csv": (
        f"{BOX_COLUMNS},XClick1X,XClick1Y\n"
        f"{TWO},xclick,/m/02xwb,1,0.5,0.75,0.25,0.5,0,0,1,0,0,0.5,0.3\n"
        f"{ONE},xclick,/m/04yx4,1,0.125,0.500000,0.25,0.75,1,0,0,0,0,0.2,0.3\n"
        f"{ONE},activemil,/m/0342h,1,0.25,0.5,0.5,0.75,1,1,-1,1,0,-1,-1\n"
        f"{ONE},xclick,/m/0nameless,1,0.25,0.5,0.5,0.75,0,0,0,0,0,-1,-1\n"
        f"{ONE},xclick,/m/0342h,1,0.5,0.5,0.5,0.75,0,0,0,0,0,-1,-1\n"
        f"{ONE},xclick,/m/0342h,1,zero,0.5,0.5,0.75,0,0,0,0,0,-1,-1\n"
        f"{GONE},xclick,/m/0342h,1,0.1,0.5,0.5,0.75,0,0,0,0,0,-1,-1\n"
    ),
    "train-annotations-object-segmentation.csv": (
        "MaskPath,ImageID,LabelName,BoxID,BoxXMin,BoxXMax,BoxYMin,BoxYMax,PredictedIoU,Clicks\n"
        f"{ONE}_m0342h_b1.png,{ONE},/m/0342h,b1,0.25000,0.50000,0.50000,0.75000,0.82,0.1 0.2 1\n"
        f"{ONE}_m0cmf2_b2.png,{ONE},/m/0cmf2,b2,0.00000,0.25000,0.00000,0.25000,,\n"
        f"{ONE}_m0cmf2_b3.png,{ONE},/m/0cmf2,b3,0.50000,0.75000,0.00000,0.25000,,\n"
    ),
    "oidv7-train-annotations-human-imagelabels.csv": (
        f"ImageID,Source,LabelName,Confidence\n{ONE},verification,/m/04yx4,1\n{ONE},crowdsource-verification,/m/09j5n,0\n"
        f"{BARE},verification,/m/02xwb,1\n"
    ),
    "oidv7-train-annotations-machine-imagelabels.csv": (
        f"ImageID,Source,LabelName,Confidence\n{ONE},machine,/m/0cmf2,0.7\n{ONE},machine,/m/02xwb,high\n"
    ),
    "oidv6-train-annotations-vrd.csv": (
        "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,RelationshipLabel\n"
        f"{ONE},/m/04yx4,/m/0342h,0.125,0.5,0.25,0.75,0.25,0.5,0.5,0.75,holds\n"
        f"{ONE},/m/0342h,/m/083vt,0.25,0.5,0.5,0.75,0.25,0.5,0.5,0.75,is\n"
    ),
    "open_images_train_v6_localized_narratives-00000-of-00010.jsonl": "".join(
        json.dumps({"image_id": ONE, "caption": caption, "dataset_id": "open_images_train", "traces": [[]]}) + "\n"
        for caption in ("In this image a man holds a guitar.", "In this image a man holds a guitar.")
    )
    + "no json\n",
    "train-images-boxable-with-rotation.csv": (
        "ImageID,Subset,OriginalURL,License,Author,Title,Rotation\n"
        f'{ONE},train,https://a/1.jpg,https://creativecommons.org/licenses/by/2.0/,Ann,"A man,\nhis guitar",90.0\n'
        f"{BARE},train,https://a/3.jpg,https://creativecommons.org/licenses/by/2.0/,Bo,,\n"
    ),
    "bbox_labels_600_hierarchy.json": "{}",
}  # fmt: skip
MAN, GUITAR = (20.0, 30.0, 80.0, 90.0), (40.0, 60.0, 80.0, 90.0)


def write_mask(path: Path, corners: tuple[int, int, int, int], wh: tuple[int, int] = (80, 60)) -> None:
    x1, y1, x2, y2 = corners
    mask = np.zeros(wh[::-1], dtype=np.uint8)
    mask[y1:y2, x1:x2] = 255
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(mask).convert("1").save(path)


def made(folder: Path) -> Path:
    """The files of release 6, with a mask at half the picture's size, and one of the archives of masks missing."""
    write_all(folder / "labels", V6)
    write_mask(folder / "labels/masks" / f"{ONE}_m0342h_b1.png", (20, 30, 40, 45))
    write_mask(folder / "labels/masks" / f"{ONE}_m0cmf2_b2.png", (0, 0, 20, 15))
    picture_at(folder / "images", f"train/{ONE}.jpg", f"train/{TWO}.jpg", f"train/{BARE}.jpg", "train/other.jpg")
    return folder


def read(folder: Path, **spec: Any) -> Found:
    return scanned(folder / "labels", images_url=str(folder / "images"), **spec)


def test_a_release_as_it_is_published(tmp_path: Path) -> None:
    found = read(made(tmp_path))
    assert found.kind == "open_images", "recognised by its names"
    assert list(found.items) == [f"train/{ONE}.jpg", f"train/{TWO}.jpg", f"train/{BARE}.jpg"]
    one = found.items[f"train/{ONE}.jpg"]
    assert objects(one) == [
        ([("phrase", "Man")], MAN),
        ([("phrase", "Guitar")], GUITAR),
        ([("phrase", "Airplane")], (0.0, 0.0, 40.0, 30.0)),
    ]
    assert [len(region.masks) for region in one.annotations.regions] == [0, 1, 1]
    (mask,) = one.annotations.regions[1].masks
    assert mask.score == 0.82, "the publisher's estimate of its quality"
    xs, ys = mask.polygons[0][0::2], mask.polygons[0][1::2]
    assert (min(xs), min(ys), max(xs), max(ys)) == pytest.approx(GUITAR, abs=1), "masks have sizes of their own"
    assert phrases(one) == [
        ("In this image a man holds a guitar.", []),
        ("Man holds Guitar", [("Man", [MAN]), ("Guitar", [GUITAR])]),
        ("Guitar is Wooden", [("Guitar", [GUITAR])]),
    ]
    assert [text.granularity for text in one.annotations.texts] == ["detailed", "brief", "brief"]
    assert one.licence == "https://creativecommons.org/licenses/by/2.0/"


def test_who_said_a_label_and_how_sure(tmp_path: Path) -> None:
    found = read(made(tmp_path))
    one = found.items[f"train/{ONE}.jpg"].annotations
    said = [(label.label, label.score, label.source.annotator) for label in one.labels if label.source]
    assert said == [("Man", 1.0, "human"), ("Airplane", 0.7, "openimages-machine")]
    assert [(absence.label, absence.score) for absence in one.absences] == [("Shoe, high", 1.0)]
    assert [label.label for label in found.items[f"train/{BARE}.jpg"].annotations.labels] == ["Fruit"]


def test_what_is_not_used_is_counted_by_reason(tmp_path: Path) -> None:
    found = read(made(tmp_path))
    assert sorted(found.rejected) == sorted(
        [
            (f"annotation/{TWO}/box/0", "crowd"),
            (f"annotation/{ONE}/box/2", "dangling_id"),
            (f"annotation/{ONE}/box/3", "box_empty"),
            (f"annotation/{ONE}/box/4", "box_malformed"),
            (f"annotation/{ONE}/mask/2", "bad_mask"),
            (f"annotation/{ONE}/label/3", "bad_score"),
            ("annotations of open_images_train_v6_localized_narratives-00000-of-00010.jsonl", "bad_record"),
            (f"{GONE}.jpg", "missing"),
        ]
    )
    assert found.passed_over == {
        ("not_kept", "IsOccluded"): 2, ("not_kept", "IsTruncated"): 1, ("not_kept", "IsDepiction"): 1,
        ("not_kept", "Author"): 2, ("not_kept", "Rotation"): 1, ("not_kept", "XClick1X, XClick1Y"): 6,
        ("not_kept", "Clicks"): 3, ("not_kept", "Subset, OriginalURL, Title"): 2,
        ("not_kept", "dataset_id, traces"): 2, ("repeated", ""): 1, ("image_missing", ""): 1,
    }  # fmt: skip
    assert found.files == {"not_labelled": 1, "not_read": 1}


def test_groups_and_relationships_as_the_source_says(tmp_path: Path) -> None:
    params = {"relationships": "count"}
    found = read(made(tmp_path), kind="open_images", crowd="keep", params=params)
    assert objects(found.items[f"train/{TWO}.jpg"]) == [([("phrase", "Fruit")], (80.0, 30.0, 120.0, 60.0))]
    assert len(found.items[f"train/{ONE}.jpg"].annotations.texts) == 1
    assert found.passed_over["relationship", ""] == 2


@pytest.mark.parametrize("classes", ["class-descriptions-boxable.csv", "metadata/classes.csv"])
def test_v4_has_no_headers_of_classes_and_may_lie_beside_its_images(tmp_path: Path, classes: str) -> None:
    files = {
        classes: "/m/04yx4,Man\n",
        "validation-annotations-bbox.csv": f"{BOX_COLUMNS}\n{ONE},xclick,/m/04yx4,1,0.125,0.5,0.25,0.75,0,0,0,0,0\n",
    }
    write_all(tmp_path, files)
    picture_at(tmp_path, f"validation/{ONE}.jpg")
    found = scanned(tmp_path)
    assert found.kind == "open_images", "the images beside the labels belong to them"
    assert objects(found.items[f"validation/{ONE}.jpg"]) == [([("phrase", "Man")], MAN)]
    assert (found.rejected, found.files) == ([], {})


def test_boxes_of_stored_pixels_are_turned_where_the_source_says_so(tmp_path: Path) -> None:
    write_all(tmp_path, {"a-annotations-bbox.csv": f"{BOX_COLUMNS}\n{ONE},x,Man,1,0,0.5,0,0.25,0,0,0,0,0\n"})
    image = Image.new("RGB", (160, 120))
    exif = Image.Exif()
    exif[274] = 6
    image.save(tmp_path / f"{ONE}.jpg", exif=exif)
    shown = scanned(tmp_path, kind="open_images").items[f"{ONE}.jpg"]
    stored = scanned(tmp_path, kind="open_images", exif="raw").items[f"{ONE}.jpg"]
    assert objects(shown) == [([("phrase", "Man")], (0.0, 0.0, 60.0, 40.0))]
    assert objects(stored) == [([("phrase", "Man")], (90.0, 0.0, 120.0, 80.0))]


def test_a_part_of_the_images_does_not_fill_the_quarantine(tmp_path: Path) -> None:
    rows = "".join(f"{number:016x},verification,Man,1\n" for number in range(10_002))
    write_all(tmp_path, {"a-annotations-human-imagelabels.csv": f"ImageID,Source,LabelName,Confidence\n{rows}"})
    picture_at(tmp_path, f"{0:016x}.jpg")
    found = scanned(tmp_path)
    assert (len(found.items), found.rejected, found.files) == (1, [], {"missing": 10_001})


def test_a_folder_without_its_files_is_refused_with_what_to_give(tmp_path: Path) -> None:
    write_all(tmp_path, {"x.csv": "a,b\n1,2\n"})
    with pytest.raises(SourceError, match="give the folder that they are in"):
        open_source(SourceSpec(url=str(tmp_path), kind="open_images")).chunks()


def test_a_whole_ingest_keeps_what_was_said(tmp_path: Path) -> None:
    made(tmp_path)
    source = {"url": f"{tmp_path}/labels", "images_url": f"{tmp_path}/images", "name": "oi"}
    root = new_root(tmp_path / "root", plain_config(source))
    root.run(Ingest())
    assert len(root.rows("images")) == 3
    labels = sorted((row["label"], row["annotator"], round(row["score"], 4)) for row in root.rows("labels"))
    assert labels == [("Airplane", "openimages-machine", 0.7), ("Fruit", "human", 1.0), ("Man", "human", 1.0)]
    assert [row["label"] for row in root.rows("absences")] == ["Shoe, high"]
    assert (len(root.rows("regions")), len(root.rows("masks")), len(root.rows("phrase_regions"))) == (3, 2, 3)
    assert len(root.quarantine()) == 8
