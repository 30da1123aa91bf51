"""RefCOCO: what people said to mean one thing on a picture is text of that thing; pickles run nothing."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.open import open_source
from fld_engine.engine.sources.refer.pickles import load_plain
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import SourceError
from tests.engine.sources.layouts import objects, picture_at, scanned
from tests.known_faults.in_process import new_root, plain_config

FILE = "COCO_train2014_000000581857.jpg"
INSTANCES: dict[str, Any] = {
    "images": [{"id": 581857, "file_name": FILE, "width": 160, "height": 120}],
    "annotations": [
        {"id": 1719310, "image_id": 581857, "category_id": 1, "bbox": [10, 20, 30, 40], "iscrowd": 0,
         "segmentation": [[10, 20, 40, 20, 40, 60, 10, 60]]},
        {"id": 2, "image_id": 581857, "category_id": 1, "bbox": [60, 20, 50, 90], "iscrowd": 0, "segmentation": []},
    ],
    "categories": [{"id": 1, "name": "person"}],
}  # fmt: skip


def sentence(number: int, raw: str, **changes: Any) -> dict[str, Any]:
    sent = raw.lower().rstrip(".")
    return {"sent_id": number, "raw": raw, "sent": sent, "tokens": sent.split(), **changes}


REFS = [
    {
        "ref_id": 0, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "train", "sent_ids": [0, 1, 2],
        "file_name": "COCO_train2014_000000581857_16.jpg",
        "sentences": [sentence(0, "THE LADY IN BLUE."), sentence(1, "lady"), sentence(2, "the lady in blue")],
    },
    {"ref_id": 1, "ann_id": 5, "image_id": 581857, "split": "val", "sentences": [sentence(3, "nobody")]},
]  # fmt: skip


def made(folder: Path, protocol: int = 0) -> Path:
    """As the publisher's Python 2 pickled them: protocol 0."""
    picture_at(folder / "images", FILE)
    (folder / "refcoco").mkdir()
    (folder / "refcoco/instances.json").write_text(json.dumps(INSTANCES))
    (folder / "refcoco/refs(unc).p").write_bytes(pickle.dumps(REFS, protocol=protocol))
    return folder


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_the_release_as_it_is_published(tmp_path: Path, protocol: int) -> None:
    made(tmp_path, protocol)
    found = scanned(tmp_path / "refcoco", images_url=str(tmp_path / "images"))
    assert found.kind == "refcoco"
    assert objects(found.items[FILE]) == [
        ([("phrase", "person"), ("brief", "the lady in blue"), ("brief", "lady")], (10.0, 20.0, 40.0, 60.0)),
        ([("phrase", "person")], (60.0, 20.0, 110.0, 110.0)),
    ]
    assert len(found.items[FILE].annotations.regions[0].masks) == 1
    assert found.rejected == [("annotation/ref/1", "dangling_id")]
    assert found.passed_over == {("repeated", ""): 1, ("not_kept", "split train"): 1}


def test_several_splits_are_told_apart_by_who_made_them(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "refcoco/refs(google).p").write_bytes(pickle.dumps(REFS[:1], protocol=2))
    images = str(tmp_path / "images")
    with pytest.raises(SourceError, match=r"by google, unc; give .* split_by"):
        open_source(SourceSpec(url=f"{tmp_path}/refcoco", images_url=images)).chunks()
    found = scanned(tmp_path / "refcoco", images_url=images, kind="refcoco", params={"split_by": "google"})
    assert found.rejected == []
    assert found.files == {"not_read": 1}


class _Evil:
    def __reduce__(self) -> Any:
        return print, ("this was run",)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_runs_something_is_refused_before_it_does(
    tmp_path: Path, protocol: int, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path)
    (tmp_path / "refcoco/refs(unc).p").write_bytes(pickle.dumps([_Evil()], protocol=protocol))
    with pytest.raises(SourceError, match=r"asks for .*print"):
        open_source(SourceSpec(url=f"{tmp_path}/refcoco", images_url=f"{tmp_path}/images")).chunks()
    assert capsys.readouterr().out == ""


def test_plain_containers_come_back_as_they_were() -> None:
    value = [{"a": (1, 2.5, None, True), "b": {1, 2}, "c": frozenset({"é"}), "d": b"x"}]
    for protocol in (2, 3, 4, 5):
        if protocol != 2:  # protocol 2 has no bytes, and asks for a codec
            assert load_plain(pickle.dumps(value, protocol=protocol)) == value
    assert load_plain(b"(lp0\nS'caf\\xc3\\xa9'\np1\na.") == ["café"], "text of Python 2 is bytes in UTF-8"


@pytest.mark.parametrize("data", [b"", b"no pickle", b"\x80\x04.", b"cos\nsystem\n(S'true'\ntR.", b"P1\n.", b"(lp0\n"])
def test_what_is_no_such_pickle_is_an_error_of_ours(data: bytes) -> None:
    with pytest.raises(ValueError, match="no pickle of plain lists"):
        load_plain(data)


def test_a_whole_ingest_keeps_what_was_said(tmp_path: Path) -> None:
    made(tmp_path)
    source = {"url": f"{tmp_path}/refcoco", "images_url": f"{tmp_path}/images", "name": "ref"}
    root = new_root(tmp_path / "root", plain_config(source))
    root.run(Ingest())
    briefs = sorted(row["text"] for row in root.rows("region_texts") if row["kind"] == "brief")
    assert briefs == ["lady", "the lady in blue"]
