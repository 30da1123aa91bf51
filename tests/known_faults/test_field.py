"""COCO as people's tools write it. Each case gives the annotations that its publisher's format says are there.

What is lost here is what people drew by hand: the dearest data of all, and the run ends with exit code 0.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fld_engine.schemas.errors import SourceError
from tests.known_faults.field import (
    AT,
    BT,
    LABELS,
    A,
    B,
    Case,
    Row,
    box,
    compressed,
    faults,
    image,
    ingested,
    labels,
    said_of,
    write,
    write_pictures,
)
from tests.known_faults.pictures import WH

QUAD = [20, 30, 70, 30, 70, 70, 20, 70]
"""A as one flat polygon."""


def run_lengths(xywh: list[int]) -> Row:
    """A filled box as COCO's uncompressed run lengths, column by column, background first."""
    x, y, w, h = xywh
    counts = [x * WH[1] + y, *([h, WH[1] - h] * w)]
    return {"size": [WH[1], WH[0]], "counts": [*counts[:-1], WH[0] * WH[1] - sum(counts[:-1])]}


# ------------------------------------------------------------------------------------------------ ids and fields


def cvat_brushes(folder: Path) -> Row:
    """CVAT writes each brush mask of one object as run lengths with `iscrowd` 1; a setting says that they are kept."""
    write_pictures(folder / "images", "1.jpg")
    drawn = [box(i, 1, i, b, segmentation=run_lengths(b), iscrowd=1) for i, b in ((1, A), (2, B))]
    write(folder / "labels.json", labels([image(1, "1.jpg")], drawn, "cup", "pot"))
    return {**LABELS, "crowd": "keep"}


def text_of_a_category(folder: Path) -> Row:
    """PyLabel: categories have the id 0, annotations the category_id "0", which can mean nothing else."""
    write_pictures(folder / "images", "1.jpg")
    plate = {"id": 0, "name": "plate", "supercategory": None}
    drawn = box(1, 7, "0", A, segmentation=None, iscrowd=0.0)
    write(folder / "labels.json", {"images": [image(7, "1.jpg")], "annotations": [drawn], "categories": [plate]})
    return LABELS


def text_of_an_image(folder: Path) -> Row:
    """VIA 2: images are numbered, `image_id` is text, and the polygon is one flat list instead of a list of lists."""
    write_pictures(folder / "images", "1.jpg")
    write(folder / "labels.json", labels([image(0, "1.jpg")], [box(0, "0", 1, A, segmentation=QUAD)], "gate"))
    return LABELS


def floating_ids(folder: Path) -> Row:
    """Ids that went through a table with missing values: 1.0 for 1, on both sides."""
    write_pictures(folder / "images", "1.jpg")
    written = labels([image(1.0, "1.jpg")], [box(1.0, 1.0, 1.0, A)], "cup")
    written["categories"][0]["id"] = 1.0
    write(folder / "labels.json", written)
    return LABELS


def size_zero(folder: Path) -> Row:
    """Datumaro without the pictures at hand: width and height 0 say that it did not know."""
    write_pictures(folder / "images", "1.jpg")
    write(folder / "labels.json", labels([image(1, "1.jpg", width=0, height=0)], [box(1, 1, 1, A)], "cup"))
    return LABELS


def size_as_text(folder: Path) -> Row:
    """Width and height as text, as an XML converter writes them."""
    write_pictures(folder / "images", "1.jpg")
    size = {"width": str(WH[0]), "height": str(WH[1])}
    write(folder / "labels.json", labels([image(1, "1.jpg", **size)], [box(1, 1, 1, A)], "cup"))
    return LABELS


def box_as_text(folder: Path) -> Row:
    """A box whose numbers are text."""
    write_pictures(folder / "images", "1.jpg")
    drawn = {**box(1, 1, 1, A), "bbox": [str(v) for v in A]}
    write(folder / "labels.json", labels([image(1, "1.jpg")], [drawn], "cup"))
    return LABELS


def lvis(folder: Path) -> Row:
    """LVIS v1: images have a `coco_url` whose last two parts are folder and name, and no `file_name`."""
    write_pictures(folder, "val2017/000000000139.jpg")
    record = image(139, "", coco_url="http://images.cocodataset.org/val2017/000000000139.jpg", neg_category_ids=[])
    del record["file_name"]
    write(folder / "labels.json", labels([record], [box(1, 139, 1, A)], "cup"))
    return {**LABELS, "images_url": "."}


def labelme(folder: Path) -> Row:
    """`[[]]` where there are only boxes: no mask, and nothing to complain of."""
    write_pictures(folder / "images", "1.jpg")
    write(folder / "labels.json", labels([image(1, "1.jpg")], [box(1, 1, 1, A, segmentation=[[]])], "cup"))
    return LABELS


def flat_tokens(folder: Path) -> Row:
    """GLIP's fine-tuning files: `tokens_positive` is one pair of characters instead of a list of pairs."""
    write_pictures(folder / "images", "1.jpg")
    drawn = [box(1, 1, 1, A, tokens_positive=[0, 3]), box(2, 1, 1, B, tokens_positive=[8, 11])]
    write(folder / "labels.json", labels([image(1, "1.jpg", caption="cup and pot")], drawn, "object"))
    return LABELS


def bytes_as_text(folder: Path) -> Row:
    """Run lengths that went through `str()` of bytes: `b'…'` around COCO's string, as one asks how to undo often."""
    write_pictures(folder / "images", "1.jpg")
    mask = {"size": [WH[1], WH[0]], "counts": f"b'{compressed(A)}'"}
    write(folder / "labels.json", labels([image(1, "1.jpg")], [box(1, 1, 1, A, segmentation=mask)], "cup"))
    return LABELS


def merged_files(folder: Path) -> Row:
    """Two jsons merged, or two people at one picture: it has two records, and what both say is about it."""
    write_pictures(folder / "images", "1.jpg")
    records = [image(1, "1.jpg"), image(2, "1.jpg")]
    write(folder / "labels.json", labels(records, [box(1, 1, 1, A), box(2, 2, 2, B)], "cup", "pot"))
    return LABELS


def captions_of_a_table(folder: Path) -> Row:
    """A caption that was missing in a table is NaN, which is none; references of a picture are a list, which is all."""
    write_pictures(folder / "images", "0.jpg", "1.jpg")
    captions: list[Any] = [float("nan"), ["a red cup", "a cup of red"]]
    drawn = [{"id": i, "image_id": i, "caption": caption} for i, caption in enumerate(captions)]
    write(folder / "labels.json", labels([image(i, f"{i}.jpg") for i in (0, 1)], drawn))
    return LABELS


def karpathy(folder: Path) -> Row:
    """Karpathy's splits of COCO, Flickr8k and Flickr30k: `filepath` and `filename`, captions as `sentences[].raw`."""
    write_pictures(folder, "val2014/42.jpg")
    sentences = [
        {"raw": raw, "tokens": raw.split(), "imgid": 0, "sentid": i} for i, raw in enumerate(("A cup.", "Red."))
    ]
    record = {"filepath": "val2014", "filename": "42.jpg", "imgid": 0, "cocoid": 42, "split": "test"}
    write(folder / "dataset_coco.json", {"dataset": "coco", "images": [{**record, "sentences": sentences}]})
    return {"url": "dataset_coco.json", "images_url": "."}


def odvg(folder: Path) -> Row:
    """ODVG of MM-Grounding-DINO: a json a line, boxes as corners, one box or a list of them a phrase."""
    write_pictures(folder / "images", "1.jpg")
    regions = [
        {"bbox": [list(map(float, AT))], "phrase": "a cup", "tokens_positive": [[0, 5]]},
        {"bbox": list(map(float, BT)), "phrase": "a pot", "tokens_positive": [[10, 15]]},
    ]
    grounding = {"caption": "a cup and a pot", "regions": regions}
    line = {"filename": "1.jpg", "height": WH[1], "width": WH[0], "grounding": grounding}
    write(folder / "labels.jsonl", json.dumps(line) + "\n")
    return {**LABELS, "url": "labels.jsonl"}


CUP = {"objects": [("cup", AT)], "rejected": []}
CASES: dict[str, tuple[Callable[[Path], Row], Row]] = {
    "CVAT's brush masks": (
        cvat_brushes,
        {"objects": [("cup", AT), ("pot", BT)], "num_masks": 2, "rejected": []},
    ),
    "PyLabel's category as text": (
        text_of_a_category,
        {"objects": [("plate", AT)], "rejected": []},
    ),
    "VIA's image as text": (
        text_of_an_image,
        {"objects": [("gate", AT)], "num_masks": 1, "rejected": []},
    ),
    "ids as floats": (floating_ids, CUP),
    "size 0": (size_zero, CUP),
    "size as text": (size_as_text, CUP),
    "box as text": (box_as_text, CUP),
    "LVIS": (lvis, CUP),
    "labelme's empty mask": (labelme, {**CUP, "num_masks": 0}),
    "GLIP's flat tokens": (
        flat_tokens,
        {"phrases": [("cup", AT), ("pot", BT)], "texts": ["cup and pot"], "rejected": []},
    ),
    "run lengths through str()": (
        bytes_as_text,
        {**CUP, "num_masks": 1},
    ),
    "two records of one picture": (
        merged_files,
        {"images": ["1.jpg"], "objects": [("cup", AT), ("pot", BT)], "rejected": []},
    ),
    "captions that are no text": (
        captions_of_a_table,
        {"texts": ["a cup of red", "a red cup"]},
    ),
    "Karpathy's splits": (
        karpathy,
        {"images": ["val2014/42.jpg"], "texts": ["A cup.", "Red."]},
    ),
}

FAULTS: dict[str, Case] = {
    "ODVG lines": (
        odvg,
        {"texts": ["a cup and a pot"], "phrases": [("a cup", AT), ("a pot", BT)]},
        "lines of json are not a source",
        SourceError,
    ),
}


@pytest.mark.parametrize(
    ("writer", "right"), [*(pytest.param(*case, id=name) for name, case in CASES.items()), *faults(FAULTS)]
)
def test_a_coco_json_says_what_its_tool_means(tmp_path: Path, writer: Callable[[Path], Row], right: Row) -> None:
    said = said_of(ingested(tmp_path, writer(tmp_path)))
    assert {name: getattr(said, name) for name in right} == right


# ------------------------------------------------------------------------------------------------ names of files

NAMES = {
    "backslashes": (["images\\1.jpg"], ["images/1.jpg"], "."),
    "./ and //": (["./images/1.jpg", "images//2.jpg"], ["images/1.jpg", "images/2.jpg"], "."),
    "a labelling tool's storage": (
        ["/data/local-files/?d=project/1.jpg", "../../label-studio/media/upload/4/2.jpg"],
        ["1.jpg", "2.jpg"],
        "images",
    ),
    "folders that the json leaves out": (
        ["v2_00900256.jpg", "images/v2/patch16/v2_00908726.jpg"],
        ["patch0/v2_00900256.jpg", "patch16/v2_00908726.jpg"],
        "train",
    ),
    "percent-encoding": (["my%20photo%2B%C3%A9.jpg"], ["my photo+é.jpg"], "images"),
    "letter case": (["IMG_0001.jpg"], ["IMG_0001.JPG"], "images"),
    "Unicode normal forms": (["cafe\u0301.jpg"], ["caf\u00e9.jpg"], "images"),
    "another extension": (["1.png"], ["1.jpg"], "images"),
}
"""What the json says, what the disk has, and the folder of pictures; each name fits exactly one file."""


@pytest.mark.parametrize(("written", "there", "folder"), NAMES.values(), ids=NAMES)
def test_a_picture_is_found_where_one_file_alone_fits(
    tmp_path: Path, written: list[str], there: list[str], folder: str
) -> None:
    """Label Studio, X-AnyLabeling, Objects365, Windows and macOS write names that their own readers understand.

    Not found, all pictures and labels of the source are lost, and the message sends the user to another setting.
    """
    write_pictures(tmp_path / folder, *there)
    records = [image(i, name) for i, name in enumerate(written)]
    write(tmp_path / "labels.json", labels(records, [box(i, i, 1, A) for i in range(len(written))], "cup"))
    root = ingested(tmp_path, {"url": "labels.json", "images_url": folder})
    assert said_of(root).objects == [("cup", AT)] * len(written)
    assert len(root.rows("images")) == len(written)
