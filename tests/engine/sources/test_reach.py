"""A source reaches as far as its own folder: names and links that lead elsewhere are refused by name, or allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fld_engine.engine.sources.item import Rejected, SourceChunk, SourceSpec
from fld_engine.engine.sources.open import open_source, read_chunk
from fld_engine.schemas.errors import SourceError
from tests.hostile import jpeg, tar_bytes

MINE, PRIVATE = jpeg(quality=80), jpeg(quality=60)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of photographs, and beside it one that is nobody's business."""
    for name, data in (("photos/mine.jpg", MINE), ("private/passport.jpg", PRIVATE), ("photos/sub/a.jpg", jpeg())):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    return tmp_path


def scan(url: Path, **spec: Any) -> tuple[list[bytes], list[Rejected], list[SourceChunk]]:
    """Images, what is refused, and chunks as they cross to a worker."""
    chunks = [
        SourceChunk.model_validate_json(chunk.model_dump_json())
        for chunk in open_source(SourceSpec(url=str(url), **spec)).chunks()
    ]
    found = [one for chunk in chunks for one in read_chunk(chunk)]
    return [one[1] for one in found if isinstance(one, tuple)], [r for r in found if isinstance(r, Rejected)], chunks


def names(home: Path) -> list[str]:
    """Ways to write a file of another folder, and one of another file system."""
    (home / "photos/link.jpg").symlink_to(home / "private/passport.jpg")
    fsspec.filesystem("memory").pipe("/passport.jpg", PRIVATE)
    return [
        f"{home}/private/passport.jpg",
        f"file://{home}/private/passport.jpg",
        "../private/passport.jpg",
        "sub/../../private/passport.jpg",
        f"{home}/photos/../private/passport.jpg",
        "link.jpg",
        "memory://passport.jpg",
    ]


@pytest.mark.parametrize("which", range(7))
def test_a_table_names_files_of_its_own_folder_alone(home: Path, which: int) -> None:
    link = names(home)[which]
    inside = ["mine.jpg", "./mine.jpg", "sub/../mine.jpg", f"{home}/photos/mine.jpg", f"file://{home}/photos/mine.jpg"]
    pq.write_table(pa.table({"url": [*inside, link]}), home / "photos/t.parquet")
    images, rejected, _ = scan(home / "photos/t.parquet")
    assert images == [MINE] * len(inside)
    ((uri, reason, detail),) = [(r.uri, r.reason, r.detail) for r in rejected]
    assert (uri, reason) == (f"t.parquet#{len(inside)}", "bad_uri")
    assert link in detail
    assert "allow_outside" in detail
    assert scan(home / "photos/t.parquet", allow_outside=True)[0] == [MINE] * len(inside) + [PRIVATE]


def test_a_path_beside_bytes_of_hugging_face_is_held_to_the_same(home: Path) -> None:
    private = f"{home}/private/passport.jpg"
    cells = [{"bytes": jpeg(), "path": private}, {"bytes": None, "path": private}, {"bytes": None, "path": "mine.jpg"}]
    pq.write_table(pa.table({"image": cells}), home / "photos/t.parquet")
    images, rejected, _ = scan(home / "photos/t.parquet")
    assert images == [jpeg(), MINE]
    assert [r.uri for r in rejected] == ["t.parquet#1"]


def test_a_folder_that_is_reached_by_a_link_is_the_folder(home: Path) -> None:
    """Data sets often stand behind a link that the user names; what is beside a table there is beside it."""
    (home / "data").symlink_to(home / "photos")
    pq.write_table(pa.table({"url": ["mine.jpg"]}), home / "photos/t.parquet")
    assert scan(home / "data/t.parquet")[0] == [MINE]
    assert len(scan(home / "data", kind="folder")[0]) == 2


@pytest.mark.parametrize("which", range(6))
def test_a_json_names_files_of_its_image_folder_alone(home: Path, which: int) -> None:
    name = names(home)[which]
    images = [{"id": 1, "file_name": "mine.jpg"}, {"id": 2, "file_name": name}]
    (home / "labels.json").write_text(json.dumps({"images": images, "annotations": []}))
    spec = {"images_url": str(home / "photos")}
    found, rejected, _ = scan(home / "labels.json", **spec)
    assert found == [MINE]
    assert [r.uri for r in rejected] == [f"labels.json#{name}"]
    assert sorted(scan(home / "labels.json", **spec, allow_outside=True)[0]) == sorted([MINE, PRIVATE])


def test_links_out_of_a_folder_are_passed_over_and_counted_and_links_within_it_followed(home: Path) -> None:
    photos = home / "photos"
    (photos / "again.jpg").symlink_to(photos / "mine.jpg")
    (photos / "holiday.jpg").symlink_to(home / "private/passport.jpg")
    (photos / "more").symlink_to(home / "private")
    (photos / "self").symlink_to(photos)
    images, rejected, (chunk,) = scan(photos, kind="folder")
    assert images == [MINE, MINE, jpeg()]
    assert not rejected
    told = {reason: [one.uri for one in counted.examples] for reason, counted in chunk.passed_over.items()}
    assert told == {"link_outside": ["photos/holiday.jpg"], "link_to_folder": ["photos/more", "photos/self"]}
    assert scan(photos, kind="folder", allow_outside=True)[0] == [MINE, PRIVATE, MINE, jpeg()]


@pytest.mark.parametrize("kind", ["tars", "parquet"])
def test_a_folder_of_links_alone_says_how_to_read_them(home: Path, kind: str) -> None:
    """Shards are often gathered in a folder of links; found to hold none, a user must learn why."""
    suffix = {"tars": "tar", "parquet": "parquet"}[kind]
    if kind == "tars":
        (home / "private/x.tar").write_bytes(tar_bytes([("0.jpg", MINE)]))
    else:
        pq.write_table(pa.table({"image": [MINE]}), home / "private/x.parquet")
    (home / "shards").mkdir()
    (home / f"shards/x.{suffix}").symlink_to(home / f"private/x.{suffix}")
    for url in (home / "shards", home / f"shards/*.{suffix}"):
        for stated in (kind, "auto"):
            with pytest.raises(SourceError, match=r"1 links lead out of it, 'x\..*allow_outside: true"):
                open_source(SourceSpec(url=str(url), kind=stated)).chunks()
            assert scan(url, kind=stated, allow_outside=True)[0] == [MINE]
