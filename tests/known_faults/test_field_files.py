"""Parquet, tars and folders as people's tools write them, each read for what its publisher says is in it."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fld_engine.schemas.errors import SourceError
from tests.hostile import tar_bytes
from tests.known_faults.field import (
    AT,
    BT,
    A,
    B,
    Row,
    compressed,
    ingested,
    said_of,
    write,
    write_pictures,
)
from tests.known_faults.pictures import WH, as_bytes, jpeg


def write_parquet(path: Path, columns: Row, metadata: Row | None = None) -> None:
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(metadata) if metadata else table, path)


def pictures(num: int) -> list[Row]:
    """Cells of Hugging Face's `Image`."""
    return [{"bytes": jpeg(i), "path": f"{i}.jpg"} for i in range(num)]


# ------------------------------------------------------------------------------------------------ Parquet


def list_of_images(folder: Path) -> Row:
    """Hugging Face's `List(Image)`: a row holds several pictures, each of which is an image."""
    held = pictures(3)
    write_parquet(folder / "t.parquet", {"images": [held[:2], held[2:]], "text": ["two", "one"]})
    return {"url": "t.parquet", "image_column": "images"}


def unnamed_list_of_images(folder: Path) -> Row:
    """The same without a setting: `images` is what `datasets` calls such a column."""
    return {name: value for name, value in list_of_images(folder).items() if name == "url"}


def numbered_captions(folder: Path) -> Row:
    """Flickr8k on Hugging Face: five captions of a picture in `caption_0` to `caption_4`."""
    captions = {f"caption_{k}": [f"caption {k}"] for k in range(5)}
    write_parquet(folder / "t.parquet", {"image": pictures(1), **captions})
    return {"url": "t.parquet"}


def hugging_face_objects(folder: Path) -> Row:
    """Detection sets on Hugging Face: `objects` of COCO boxes and class numbers, whose names are in the metadata."""
    objects = [{"id": [1, 2], "bbox": [A, B], "category": [1, 0]}]
    category = {"feature": {"names": ["pot", "cup"], "_type": "ClassLabel"}, "_type": "Sequence"}
    features = {"image": {"_type": "Image"}, "objects": {"category": category}}
    columns = {"image": pictures(1), "objects": objects}
    write_parquet(folder / "t.parquet", columns, {"huggingface": json.dumps({"info": {"features": features}})})
    return {"url": "t.parquet"}


def failed_downloads(folder: Path) -> Row:
    """img2dataset's Parquet output: where a download failed, the row has no bytes, and an address still."""
    write_pictures(folder, "spare.jpg")
    columns = {
        "url": ["ok.jpg", "spare.jpg"],
        "jpg": pa.array([jpeg(7), None], pa.binary()),
        "status": ["success", "failed_to_resize"],
    }
    write_parquet(folder / "t.parquet", columns)
    return {"url": "t.parquet"}


PARQUET: dict[str, tuple[Callable[[Path], Row], Row]] = {
    "a list of images a row": (
        list_of_images,
        {"images": 3},
    ),
    "a list of images, unnamed": (
        unnamed_list_of_images,
        {"images": 3},
    ),
    "numbered captions": (
        numbered_captions,
        {"texts": [f"caption {k}" for k in range(5)]},
    ),
    "Hugging Face's objects": (
        hugging_face_objects,
        {"objects": [("cup", AT), ("pot", BT)]},
    ),
    "rows whose download failed": (
        failed_downloads,
        {"images": 1, "rejected": ["no_bytes"]},
    ),
}


# ------------------------------------------------------------------------------------------------ tars


def compound_extensions(folder: Path) -> Row:
    """WebDataset's way to tell several files of a sample apart: `key.image.jpg`, `key.mask.png`."""
    mask = as_bytes(Image.new("L", WH, 1), "PNG")
    write(folder / "a.tar", tar_bytes([("0.image.jpg", jpeg(0)), ("0.mask.png", mask), ("0.txt", b"a cup")]))
    return {"url": "a.tar"}


def compressed_tars(folder: Path) -> Row:
    """A folder of shards, some of which went through gzip."""
    for number, name in enumerate(("a.tar", "b.tar.gz", "c.tgz")):
        data = tar_bytes([(f"{number}.jpg", jpeg(number))])
        write(folder / f"shards/{name}", data if name == "a.tar" else gzip.compress(data, mtime=0))
    return {"url": "shards"}


def captions_by_name(folder: Path) -> Row:
    """LAION's TEXT and Recap-DataComp's re_caption in the json of samples, named as for Parquet."""
    said = [("TEXT", "a cup"), ("re_caption", "a pot")]
    members = [
        m for i, (key, text) in enumerate(said) for m in ((f"{i}.jpg", jpeg(i)), (f"{i}.json", as_json({key: text})))
    ]
    write(folder / "a.tar", tar_bytes(members))
    return {"url": "a.tar", "caption_columns": ["TEXT", "re_caption"]}


def text_members(folder: Path) -> Row:
    """Captions in members that other writers call .caption and .text."""
    members = [("0.jpg", jpeg(0)), ("0.caption", b"a cup"), ("1.jpg", jpeg(1)), ("1.text", b"a pot")]
    write(folder / "a.tar", tar_bytes(members))
    return {"url": "a.tar"}


def sa_1b(folder: Path) -> Row:
    """SA-1B: a json a picture, masks as COCO's strings and boxes, no classes at all."""
    mask = {"size": [WH[1], WH[0]], "counts": compressed(A)}
    about = {"image_id": 1, "width": WH[0], "height": WH[1], "file_name": "sa_1.jpg"}
    scores = {"predicted_iou": 0.97, "stability_score": 0.98, "point_coords": [[45.0, 50.0]], "crop_box": [0, 0, *WH]}
    record = {"image": about, "annotations": [{"id": 4, "segmentation": mask, "bbox": A, "area": 2000, **scores}]}
    write(folder / "sa_000000.tar", tar_bytes([("./sa_1.jpg", jpeg(1)), ("./sa_1.json", as_json(record))]))
    return {"url": "sa_000000.tar"}


def grit(folder: Path) -> Row:
    """GRIT of Kosmos-2: noun chunks are spans of the caption, each with a box in fractions and a score."""
    caption = "a cup and a pot"
    chunks = [[0, 5, *fractions(AT), 0.9], [10, 15, *fractions(BT), 0.8]]
    record = {"caption": caption, "noun_chunks": chunks, "ref_exps": [chunks[0]], "width": WH[0], "height": WH[1]}
    members = [("0.jpg", jpeg(0)), ("0.json", as_json(record)), ("0.txt", caption.encode())]
    write(folder / "00000.tar", tar_bytes(members))
    return {"url": "00000.tar"}


def img2dataset(folder: Path) -> Row:
    """img2dataset's output folder: a tar, a Parquet of the same samples without bytes, and statistics."""
    members = [m for i in range(2) for m in ((f"{i:09d}.jpg", jpeg(i)), (f"{i:09d}.txt", f"box {i}".encode()))]
    write(folder / "out/00000.tar", tar_bytes(members))
    columns = {
        "url": ["a", "b"],
        "caption": ["box 0", "box 1"],
        "status": ["success"] * 2,
        "key": ["0" * 9, "0" * 8 + "1"],
    }
    write_parquet(folder / "out/00000.parquet", columns)
    write(folder / "out/00000_stats.json", {"count": 2, "successes": 2})
    return {"url": "out"}


def as_json(record: Row) -> bytes:
    return json.dumps(record).encode()


def fractions(corners: tuple[int, ...]) -> list[float]:
    x1, y1, x2, y2 = corners
    return [x1 / WH[0], y1 / WH[1], x2 / WH[0], y2 / WH[1]]


TARS: dict[str, tuple[Callable[[Path], Row], Row]] = {
    "compound extensions": (
        compound_extensions,
        {"images": 1, "texts": ["a cup"]},
    ),
    "compressed tars": (compressed_tars, {"images": 3}),
    "captions by name": (
        captions_by_name,
        {"images": 2, "texts": ["a cup", "a pot"]},
    ),
    "members .caption and .text": (
        text_members,
        {"images": 2, "texts": ["a cup", "a pot"]},
    ),
    "SA-1B": (sa_1b, {"images": 1, "objects": [("", AT)], "num_masks": 1}),
    "GRIT": (
        grit,
        {"texts": ["a cup and a pot"], "phrases": [("a cup", AT), ("a pot", BT)]},
    ),
    "img2dataset's folder": (
        img2dataset,
        {"images": 2, "texts": ["box 0", "box 1"]},
    ),
}


# ------------------------------------------------------------------------------------------------ folders


def captions_beside(folder: Path) -> Row:
    """Trainers' folders: a .txt of the same name beside each picture."""
    write_pictures(folder / "photos", "0.jpg", "1.jpg")
    for i in range(2):
        write(folder / f"photos/{i}.txt", f"a caption of {i}\n")
    return {"url": "photos"}


def image_folder(folder: Path) -> Row:
    """Hugging Face's imagefolder: metadata.jsonl with `file_name`, texts and `objects` of COCO boxes."""
    write_pictures(folder / "photos", "0.jpg")
    row = {"file_name": "0.jpg", "text": "a caption", "objects": {"bbox": [A], "categories": ["cup"]}}
    write(folder / "photos/metadata.jsonl", json.dumps(row) + "\n")
    return {"url": "photos"}


def zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / "val2017.zip", "w") as archive:
        archive.writestr("val2017/1.jpg", jpeg(1))


def zip_file(folder: Path) -> Row:
    """COCO's pictures as they are published, not unpacked."""
    zipped(folder)
    return {"url": "val2017.zip"}


def chained_address(folder: Path) -> Row:
    """The same by fsspec's address of a folder within a zip."""
    zipped(folder)
    return {"url": f"zip://val2017::{folder}/val2017.zip", "name": "src", "kind": "folder"}


FOLDERS: dict[str, tuple[Callable[[Path], Row], Row]] = {
    "captions beside pictures": (
        captions_beside,
        {"images": 2, "texts": ["a caption of 0", "a caption of 1"]},
    ),
    "metadata.jsonl": (
        image_folder,
        {"images": 1, "texts": ["a caption"], "objects": [("cup", AT)]},
    ),
    "a zip": (zip_file, {"images": 1}),
    "a folder in a zip": (chained_address, {"images": 1}),
}

CASES = {**PARQUET, **TARS, **FOLDERS}


@pytest.mark.parametrize(("writer", "right"), [pytest.param(*case, id=name) for name, case in CASES.items()])
def test_a_source_says_what_its_publisher_says_is_in_it(
    tmp_path: Path, writer: Callable[[Path], Row], right: Row
) -> None:
    """Captions, boxes and whole pictures that are there come in. Lost, nobody is told, and the run ends with code 0."""
    said = said_of(ingested(tmp_path, writer(tmp_path)))
    found = {**{name: getattr(said, name) for name in right}, "images": len(said.images)}
    assert found == {**found, **right}


def test_bytes_as_a_list_of_numbers_are_read_or_refused_by_their_type(tmp_path: Path) -> None:
    """Spark's arrays of bytes: the picture, or a message that names `list<…uint8>`.

    Told that the row has no image bytes, which it has, a user looks for a fault of the data.
    """
    data = pa.array([list(jpeg(1))], pa.list_(pa.uint8()))
    write_parquet(tmp_path / "t.parquet", {"image": data})
    write_pictures(tmp_path, "other.jpg")
    try:
        root = ingested(tmp_path, {"url": "t.parquet", "image_column": "image"}, {"url": "other.jpg", "name": "other"})
        found = {row["uri"] for row in root.rows("images")}
        message = " ".join(row["detail"] for row in root.quarantine())
    except SourceError as error:
        found, message = set(), str(error)
    assert "src#0" in found or "uint8" in message
