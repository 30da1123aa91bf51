"""Captions beside images, in tars and tables: a corrected one is seen, and takes the place of the old one."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fld_engine.engine.data.store import Store
from tests.driving import ingest_here
from tests.engine.stages.ingest.sayings import config_of, rows
from tests.roots import write_photographs


def write_tar(path: Path, photos: Path, captions: Mapping[str, str]) -> None:
    """Photographs with captions; the same captions in length give a tar of the same size."""
    with tarfile.open(path, "w") as tar:
        for name, caption in captions.items():
            for suffix, data in ((".jpg", (photos / name).read_bytes()), (".txt", caption.encode())):
                member = tarfile.TarInfo(name.removesuffix(".jpg") + suffix)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def captions_of(store: Store) -> dict[str, list[str]]:
    return {row["id"]: row["texts"] for row in rows(store)}


def test_a_caption_corrected_in_a_tar_of_the_same_size_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    ids = write_photographs(tmp_path / "photos", 3)
    names = sorted(path.name for path in (tmp_path / "photos").glob("*.jpg"))
    (tmp_path / "tars").mkdir()
    config = config_of({"url": str(tmp_path / "tars"), "name": "tars", "kind": "tars"})
    write_tar(tmp_path / "tars/a.tar", tmp_path / "photos", dict.fromkeys(names, "A red kite."))
    store, _ = ingest_here(tmp_path / "root", config)
    size = (tmp_path / "tars/a.tar").stat().st_size
    write_tar(
        tmp_path / "tars/a.tar", tmp_path / "photos", {**dict.fromkeys(names, "A red kite."), names[1]: "A tan goat."}
    )
    os.utime(tmp_path / "tars/a.tar", (2, 2))
    assert (tmp_path / "tars/a.tar").stat().st_size == size
    ingest_here(tmp_path / "root", config)
    assert captions_of(store) == {ids[0]: ["A red kite."], ids[1]: ["A tan goat."], ids[2]: ["A red kite."]}
    (tmp_path / "tars/a.tar").rename(tmp_path / "tars/b.tar")
    ingest_here(tmp_path / "root", config)
    assert captions_of(store)[ids[1]] == ["A tan goat."], "a tar under another name says nothing twice"
    write_tar(tmp_path / "tars/b.tar", tmp_path / "photos", {names[0]: "A red kite."})
    ingest_here(tmp_path / "root", config)
    assert captions_of(store) == {ids[0]: ["A red kite."], ids[1]: [], ids[2]: []}


def test_a_tar_that_breaks_off_takes_nothing_back(tmp_path: Path) -> None:
    """What cannot be read says nothing, not even that something is gone."""
    ids = write_photographs(tmp_path / "photos", 3)
    names = sorted(path.name for path in (tmp_path / "photos").glob("*.jpg"))
    config = config_of({"url": str(tmp_path / "a.tar"), "name": "tars", "kind": "tars"})
    write_tar(tmp_path / "a.tar", tmp_path / "photos", dict.fromkeys(names, "A red kite."))
    store, _ = ingest_here(tmp_path / "root", config)
    data = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(data[: len(data) // 3])
    ingest_here(tmp_path / "root", config)
    assert captions_of(store) == {identity: ["A red kite."] for identity in ids}


def test_another_caption_column_and_a_row_put_first_are_seen(tmp_path: Path) -> None:
    """Rows are places by number: a table that is written anew with one more row moves them all."""
    ids = write_photographs(tmp_path / "photos", 3)
    images = [path.read_bytes() for path in sorted((tmp_path / "photos").glob("*.jpg"))]
    kites, goats = ["kite 0", "kite 1"], ["goat 0", "goat 1"]
    table = pa.table({"image": images[:2], "caption": kites, "better": goats})
    pq.write_table(table, tmp_path / "t.parquet")
    source = {"url": str(tmp_path / "t.parquet"), "name": "t", "kind": "parquet"}
    store, _ = ingest_here(tmp_path / "root", config_of(source))
    assert captions_of(store) == {ids[0]: ["kite 0"], ids[1]: ["kite 1"]}
    better = {**source, "caption_columns": ["better"]}
    ingest_here(tmp_path / "root", config_of(better))
    assert captions_of(store) == {ids[0]: ["goat 0"], ids[1]: ["goat 1"]}
    shifted = pa.table({"image": [images[2], *images[:2]], "better": ["goat 2", "goat 0!", "goat 1"]})
    pq.write_table(shifted, tmp_path / "t.parquet")
    ingest_here(tmp_path / "root", config_of(better))
    assert captions_of(store) == {ids[0]: ["goat 0!"], ids[1]: ["goat 1"], ids[2]: ["goat 2"]}
