"""Zips of pictures, whole, damaged and changed, and chained addresses of what is in them."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.open import open_source, read_items
from fld_engine.schemas.errors import SourceError
from tests.engine.sources.test_pictures import captions, labels, scan
from tests.known_faults.field import A, box, image, write
from tests.known_faults.field import labels as coco
from tests.known_faults.pictures import jpeg


def write_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)


def test_what_lies_beside_pictures_in_a_zip_tells_of_them_and_they_are_read_again(tmp_path: Path) -> None:
    members = {
        "cats/1.jpg": jpeg(1),
        "cats/1.txt": b"a cat",
        "2.jpg": jpeg(2),
        "metadata.jsonl": b"",
        "__MACOSX/._2.jpg": b"resource fork",
    }
    write_zip(tmp_path / "a.zip", {name: data for name, data in members.items() if name != "metadata.jsonl"})
    write_zip(tmp_path / "b.zip", {"1.jpg": jpeg(3)}, zipfile.ZIP_STORED)
    items, reasons = scan(tmp_path)
    assert list(items) == ["a.zip!/2.jpg", "a.zip!/cats/1.jpg", "b.zip!/1.jpg"]
    assert [captions(item) for item in items.values()] == [[], ["a cat"], []]
    assert [labels(item) for item in items.values()] == [[], [("cats", "class_folder")], []]
    assert list(read_items([item.read for item in items.values()])) == [jpeg(2), jpeg(1), jpeg(3)]
    assert not reasons
    one, _ = scan(tmp_path / "b.zip")
    assert list(one) == ["!/1.jpg"]


def test_chained_addresses_lead_into_a_zip(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"val/1.jpg": jpeg(1), "val/deep/2.jpg": jpeg(2), "notes.txt": b"x"})
    for inner, right in (("val", ["1.jpg", "deep/2.jpg"]), ("val/*.jpg", ["1.jpg"]), ("val/deep/2.jpg", [""])):
        items, _ = scan(f"zip://{inner}::{tmp_path}/x.zip")
        assert list(items) == right, inner
    with pytest.raises(SourceError, match="zip://path::address of a zip is read"):
        open_source(SourceSpec(url=f"tar://a::{tmp_path}/x.tar"))


def test_a_coco_json_may_lie_in_a_zip_with_its_pictures_as_labelling_tools_export_it(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", coco([image(1, "1.jpg")], [box(1, 1, 1, A)], "cup"))
    write_zip(tmp_path / "x.zip", {"train/1.jpg": jpeg(1), "train/_a.json": (tmp_path / "labels.json").read_bytes()})
    items, _ = scan(f"zip://train/_a.json::{tmp_path}/x.zip", kind="coco")
    (item,) = items.values()
    assert [region.box_xyxy for region in item.annotations.regions] == [(20, 30, 70, 70)]


def test_a_damaged_member_costs_itself_and_a_damaged_zip_what_is_in_it(tmp_path: Path) -> None:
    write_zip(tmp_path / "a.zip", {"1.jpg": jpeg(1), "2.jpg": jpeg(2)}, zipfile.ZIP_STORED)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[data.index(jpeg(1)) + 500] ^= 255
    (tmp_path / "a.zip").write_bytes(bytes(data))
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 no zip")
    items, reasons = scan(tmp_path)
    assert list(items) == ["a.zip!/2.jpg"]
    assert reasons == {"corrupt": 2}
    with pytest.raises(SourceError, match="no whole zip"):
        open_source(SourceSpec(url=str(tmp_path / "b.zip"))).chunks()


def test_a_zip_that_was_written_anew_is_opened_anew(tmp_path: Path) -> None:
    write_zip(tmp_path / "x.zip", {"1.jpg": jpeg(1)})
    (before,) = open_source(SourceSpec(url=str(tmp_path / "x.zip"))).chunks()
    write_zip(tmp_path / "x.zip", {"1.jpg": jpeg(2), "2.jpg": jpeg(3)})
    (after,) = open_source(SourceSpec(url=str(tmp_path / "x.zip"))).chunks()
    assert [path for path, _ in after.files] == ["!/1.jpg", "!/2.jpg"]
    assert after.stamp != before.stamp
