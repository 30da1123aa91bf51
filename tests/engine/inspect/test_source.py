"""What is told of a source before it is ingested: its number, what is said in it, what will be refused."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.inspect.seen import SourceLook
from fld_engine.engine.inspect.source import look_into
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.schemas.errors import SourceError
from tests.hostile import jpeg, tar_bytes


def look(url: Path, *, images: int = 200, **spec: Any) -> SourceLook:
    return look_into(SourceSpec(url=str(url), **spec), ImageLimits(), images=images, seconds=60)


def test_a_folder_is_counted_and_what_is_no_image_is_named(tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.jpg").write_bytes(jpeg(quality=50 + number))
    (tmp_path / "12.jpg").write_bytes(b"no picture")
    (tmp_path / "notes.doc").write_bytes(b"x")
    found = look(tmp_path, licence="CC-BY")
    assert (found.kind, found.images, found.is_exact, found.looked_at, found.is_whole) == ("folder", 13, True, 13, True)
    assert found.account.images.read == 12
    assert sum(one.number for one in found.account.images.refused.values()) == 1
    assert found.account.listed["unknown_extension"].number == 1
    assert (len(found.examples), found.licences) == (10, {"CC-BY": 12})


def test_a_coco_json_shows_how_its_annotations_will_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    said = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 2, 20, 20]},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [2, 2, 0, 20]},
        {"id": 3, "image_id": 1, "caption": "A cat."},
    ]
    labels = {
        "images": [{"id": 1, "file_name": "a.jpg"}],
        "annotations": said,
        "categories": [{"id": 3, "name": "cat"}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    found = look(tmp_path / "labels.json")
    assert (found.kind, found.images, found.is_exact) == ("coco", 1, True)
    assert found.said == {"human": {"brief texts": 1, "objects": 1}}
    assert found.examples[0].said == {"brief texts": ["A cat."], "objects": ["cat"]}
    assert found.account.human.refused["box_empty"].number == 1


def test_a_large_tar_is_estimated_from_a_few_of_its_images(tmp_path: Path) -> None:
    """Every image has the same size on average, so that the estimate may be off by headers alone."""
    members = [(f"{number:04}.jpg", jpeg() + os.urandom(2000)) for number in range(300)]
    (tmp_path / "x.tar").write_bytes(tar_bytes(members))
    found = look(tmp_path / "x.tar", images=20)
    assert (found.looked_at, found.is_exact, found.is_whole) == (20, False, False)
    assert found.images == pytest.approx(300, rel=0.3)
    assert look(tmp_path / "x.tar", images=300).is_exact
    assert look(tmp_path / "x.tar", images=400).images == 300


def test_what_is_looked_at_is_spread_over_the_source(tmp_path: Path) -> None:
    for shard in range(7):
        members = [(f"{shard}{number:03}.jpg", jpeg(quality=30 + shard * 9 + number)) for number in range(9)]
        (tmp_path / f"{shard}.tar").write_bytes(tar_bytes(members))
    found = look(tmp_path, images=8)
    assert {one.uri.split("/")[-1].split(".")[0] for one in found.examples} == {"0", "2", "4", "6"}
    assert found.looked_at == 8


def test_a_source_that_an_ingest_would_refuse_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        look(tmp_path / "nothing")


def test_a_table_says_how_many_rows_it_has_however_few_are_read(tmp_path: Path) -> None:
    """Names of files say nothing of their bytes, from which no number of rows could be told."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    pq.write_table(pa.table({"file_name": ["a.jpg"] * 500}), tmp_path / "x.parquet")
    found = look(tmp_path / "x.parquet", images=3)
    assert (found.images, found.is_exact, found.looked_at) == (500, True, 3)


PRIVATE = "http://10.0.0.1/x.jpg"


def cc12m(number: int) -> str:
    return "".join(f"http://h{n % 3}.org/{n:06}.jpg\tcaption {n:06}\n" for n in range(number))


def test_a_list_of_addresses_is_told_by_its_rows_and_nothing_is_asked(tmp_path: Path) -> None:
    others = f"HTTP://h0.org:80/000000.jpg#x\tagain\n{PRIVATE}\tp\nno address\tq\n\tr\nhttp://u:secret@h9.org/\t\n"
    (tmp_path / "list.tsv").write_text(cc12m(30) + others)
    found = look(tmp_path / "list.tsv", licence="web's")
    assert (found.kind, found.images, found.is_exact, found.is_whole) == ("cc12m", 35, True, True)
    assert not found.is_fetched
    assert found.columns == {"address": ["url"], "captions": ["caption"]}
    assert (found.hosts, found.num_hosts) == ({"h0.org": 11, "h1.org": 10, "h2.org": 10, "h9.org": 1}, 4)
    assert found.repeated == 1
    assert found.account.images.read == 32
    refused = {reason: one.number for reason, one in found.account.images.passed_over.items()}
    assert refused == {"bad_address": 2, "private_address": 1}
    assert (found.said, found.licences) == ({"web": {"brief texts": 31}}, {"web's": 32})
    assert (len(found.examples), found.examples[0].uri) == (10, "http://h0.org/000000.jpg")
    assert found.examples[0].said == {"brief texts": ["caption 000000"]}
    assert "secret" not in found.model_dump_json()
    allowed = look(tmp_path / "list.tsv", kind="cc12m", fetch={"allow_networks": ["10.0.0.0/8"]})
    assert allowed.is_fetched
    assert "private_address" not in allowed.account.images.passed_over


@pytest.mark.parametrize("packed", [False, True])
def test_a_long_list_is_estimated_from_its_first_rows(tmp_path: Path, packed: bool) -> None:
    path = tmp_path / ("list.tsv.gz" if packed else "list.tsv")
    data = cc12m(30_000).encode()
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    found = look(path, images=100)
    assert (found.looked_at, found.is_exact, found.is_whole) == (10_000, False, False)
    assert found.images == pytest.approx(30_000, rel=0.2)


def test_tables_of_known_lists_are_recognised_by_their_columns(tmp_path: Path) -> None:
    url = [f"http://a.org/{n}.jpg" for n in range(5000)]
    text = ["a"] * 5000
    laion = {"URL": url, "TEXT": text, "LICENSE": ["?"] * 4999 + ["CC BY"], "NSFW": text}
    pq.write_table(pa.table(laion), tmp_path / "laion.parquet")
    found = look(tmp_path / "laion.parquet", images=1)
    assert (found.kind, found.images, found.is_exact, found.looked_at) == ("laion", 5000, True, 100)
    assert found.columns == {
        "address": ["URL"], "captions": ["TEXT"], "licence": ["LICENSE"], "kept as they are": ["NSFW"]
    }  # fmt: skip
    for kind, columns in {
        "datacomp": {"uid": text, "url": url, "text": text, "sha256": text},
        "coyo": {"id": text, "url": url, "text": text, "image_phash": text},
        "addresses": {"url": url, "caption": text},
    }.items():
        pq.write_table(pa.table(columns), tmp_path / f"{kind}.parquet")
        assert look(tmp_path / f"{kind}.parquet", images=1).kind == kind


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("a.tsv", "a cat\thttp://a.org/1.jpg\n", "cc3m"),
        ("a.tsv", "caption\turl\na cat\thttp://a.org/1.jpg\n", "addresses"),
        ("a.csv", "caption,url\na cat,http://a.org/1.jpg\n", "addresses"),
        ("a.jsonl", '{"url": "http://a.org/1.jpg", "caption": "a cat"}\n', "addresses"),
        ("a.txt", "http://a.org/1.jpg\n", "addresses"),
    ],
)
def test_lists_in_every_form_are_looked_into(tmp_path: Path, name: str, text: str, kind: str) -> None:
    (tmp_path / name).write_text(text)
    found = look(tmp_path / name)
    assert (found.kind, found.images, found.hosts) == (kind, 1, {"a.org": 1})
    assert found.said == ({} if name == "a.txt" else {"web": {"brief texts": 1}})


def test_a_text_without_addresses_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("url,caption\nphoto.jpg,a cat\n")
    with pytest.raises(SourceError, match="no list of addresses"):
        look(tmp_path / "a.csv")
