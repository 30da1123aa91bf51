"""More inputs as people's tools write them: what of each kind comes out, and what is refused in which words."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.inspect.source import look_into
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.schemas.errors import SourceError
from tests.hostile import tar_bytes
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
from tests.known_faults.pictures import jpeg

Writer = Callable[[Path], Row]


def zipped(path: Path, members: Mapping[str, bytes | str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def parquet(folder: Path, **columns: Any) -> Row:
    pq.write_table(pa.table(columns), folder / "p.parquet")
    return {"url": "p.parquet"}


def instances(xywh: list[int]) -> Row:
    """A json that has one picture `1.jpg` with one cup."""
    return labels([image(0, "1.jpg")], [box(0, 0, 1, xywh)], "cup")


# ------------------------------------------------------------------------------------------------ folders of jsons


def roboflow(folder: Path) -> Row:
    """A json in each part's own folder, and pictures of the same names in both."""
    for seed, (part, xywh) in enumerate({"train": A, "valid": B}.items()):
        write(folder / f"set/{part}/1.jpg", jpeg(seed))
        write(folder / f"set/{part}/_annotations.coco.json", instances(xywh))
    write(folder / "set/README.roboflow.txt", "about it")
    return {"url": "set"}


def official(folder: Path) -> Row:
    """COCO's own layout, in which `person_keypoints` say of people what `instances` say, too."""
    for seed, (part, xywh) in enumerate({"train2017": A, "val2017": B}.items()):
        write(folder / f"coco/images/{part}/1.jpg", jpeg(seed))
        for kind in ("instances", "person_keypoints"):
            write(folder / f"coco/annotations/{kind}_{part}.json", instances(xywh))
    caption = {"id": 1, "image_id": 0, "caption": "a cup"}
    write(folder / "coco/annotations/captions_val2017.json", {"images": [image(0, "1.jpg")], "annotations": [caption]})
    return {"url": "coco"}


def cvat(folder: Path) -> Row:
    zipped(
        folder / "task.zip",
        {"images/1.jpg": jpeg(1), "annotations/instances_default.json": json.dumps(instances(A))},
    )
    return {"url": f"zip://::{folder}/task.zip"}


def pictures_in_zip(folder: Path) -> Row:
    """The folder of pictures is the zip that COCO publishes."""
    zipped(folder / "val2017.zip", {"val2017/1.jpg": jpeg(1)})
    write(folder / "labels.json", instances(A))
    return {"url": "labels.json", "images_url": "val2017.zip"}


# ------------------------------------------------------------------------------------------------ captions and names


def lavis(folder: Path) -> Row:
    """A list of pictures, each with a caption or several; one picture stands in it twice."""
    write_pictures(folder / "images", "1.jpg", "2.jpg")
    rows = [("1.jpg", "a cup"), ("1.jpg", "one cup"), ("2.jpg", ["two cups"])]
    write(folder / "labels.json", json.dumps([{"image": n, "caption": c, "image_id": f"coco_{n}"} for n, c in rows]))
    return LABELS


def lists_of_captions(folder: Path) -> Row:
    write_pictures(folder / "images", "1.jpg")
    annotation = {"id": 1, "image_id": 1, "captions": ["two cups"]}
    write(folder / "labels.json", labels([image(1, " 1.jpg\n", captions=["a cup", "one cup"])], [annotation]))
    return LABELS


def metadata_in_zip(folder: Path) -> Row:
    zipped(folder / "x.zip", {"a/1.jpg": jpeg(1), "a/metadata.jsonl": '{"file_name": "1.jpg", "text": "a cup"}'})
    return {"url": "x.zip"}


def system_folders(folder: Path) -> Row:
    """Previews that network storage makes, and what is left of a Mac's zip, are no pictures of a set."""
    for seed, name in enumerate(("1.jpg", "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg", "__MACOSX/1.jpg")):
        write(folder / "set" / name, jpeg(seed))
    return {"url": "set"}


def objects_as_text(folder: Path) -> Row:
    """Columns in another letters' case, objects as the text of a json, bytes that are no text."""
    objects = json.dumps([{"bbox": A, "category": "cup"}])
    return parquet(folder, IMAGE=[jpeg(1)], objects=[objects], label=[1.5], text=[b"\xff\xfe"])


READ: dict[str, tuple[Writer, Row]] = {
    "Roboflow's parts": (roboflow, {"images": 2, "objects": [("cup", AT), ("cup", BT)]}),
    "COCO's own folder": (official, {"images": 2, "objects": [("cup", AT), ("cup", BT)], "texts": ["a cup"]}),
    "CVAT's zip": (cvat, {"images": 1, "objects": [("cup", AT)]}),
    "pictures in a zip": (pictures_in_zip, {"images": 1, "objects": [("cup", AT)]}),
    "LAVIS' list": (lavis, {"images": 2, "texts": ["a cup", "one cup", "two cups"]}),
    "captions in lists": (lists_of_captions, {"images": 1, "texts": ["a cup", "one cup", "two cups"]}),
    "metadata in a zip": (metadata_in_zip, {"images": 1, "texts": ["a cup"]}),
    "system folders": (system_folders, {"images": 1}),
    "objects as text": (objects_as_text, {"images": 1, "objects": [("cup", AT)], "texts": []}),
}


@pytest.mark.parametrize("name", READ)
def test_it_is_read_as_its_tool_means_it(name: str, tmp_path: Path) -> None:
    writer, right = READ[name]
    said = said_of(ingested(tmp_path, writer(tmp_path)))
    assert len(said.images) == right["images"]
    assert (said.objects, said.texts) == (sorted(right.get("objects", [])), sorted(right.get("texts", [])))


# ------------------------------------------------------------------------------------------------ refused


def laion(folder: Path) -> Row:
    return parquet(folder, URL=["http://example.com/a.jpg"], TEXT=["a cup"])


def coyo(folder: Path) -> Row:
    return parquet(folder, id=[1], url=["http://example.com/a.jpg"], text=["a cup"])


def twice_one_name(folder: Path) -> Row:
    pq.write_table(pa.table([[jpeg(1)], ["a"], ["b"]], names=["image", "text", "text"]), folder / "p.parquet")
    return {"url": "p.parquet"}


def conversations(folder: Path) -> Row:
    write(folder / "labels.json", json.dumps([{"image": "1.jpg", "conversations": []}]))
    return {"url": "labels.json"}


def addresses_as_json(folder: Path) -> Row:
    write(folder / "list.json", json.dumps([{"url": "http://example.com/a.jpg", "caption": "a cup"}]))
    return {"url": "list.json"}


def zip_in_zip(folder: Path) -> Row:
    zipped(folder / "inner.zip", {"1.jpg": jpeg(1)})
    zipped(folder / "x.zip", {"inner.zip": (folder / "inner.zip").read_bytes()})
    return {"url": "x.zip"}


REFUSED: dict[str, tuple[Writer, str]] = {
    "LAION": (laion, "web addresses in column URL.* set `fetch: true`"),
    "COYO": (coyo, "web addresses in column url.* set `fetch: true`"),
    "columns of one name": (twice_one_name, "several columns of the name text"),
    "conversations": (conversations, "a list of conversations"),
    "addresses as json": (addresses_as_json, "a list of addresses: set kind to addresses"),
    "a zip in a zip": (zip_in_zip, "inner.zip; zips in a zip are not read"),
}
LISTS = ("LAION", "COYO", "addresses as json")
"""Those of them that are lists of addresses, which can be looked into all the same."""


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words_that_help_by_an_ingest_and_by_inspect(name: str, tmp_path: Path) -> None:
    writer, words = REFUSED[name]
    source = writer(tmp_path)
    with pytest.raises(SourceError, match=words):
        ingested(tmp_path, source)
    spec = SourceSpec(url=f"{tmp_path}/{source['url']}")
    if name in LISTS:
        assert look_into(spec, ImageLimits()).images == 1
        return
    with pytest.raises(SourceError, match=words):
        look_into(spec, ImageLimits())


def test_what_follows_the_end_of_a_tar_and_a_zip_without_pictures_is_named(tmp_path: Path) -> None:
    write(tmp_path / "t/0.tar", tar_bytes([("1.jpg", jpeg(1))]) + tar_bytes([("2.jpg", jpeg(2))]))
    root = ingested(tmp_path / "t", {"url": "0.tar"})
    (row,) = root.quarantine()
    assert (row["reason"], len(root.rows("images"))) == ("corrupt", 1)
    assert "follows the end of the tar" in row["detail"]
    zipped(tmp_path / "z/a.zip", {"1.jpg": jpeg(1)})
    zipped(tmp_path / "z/b.zip", {"notes.txt": "nothing"})
    look = look_into(SourceSpec(url=f"{tmp_path}/z", name="src"), ImageLimits())
    (aside,) = look.account.listed.values()
    assert [one.uri for one in aside.examples] == ["src/b.zip!/notes.txt"]
