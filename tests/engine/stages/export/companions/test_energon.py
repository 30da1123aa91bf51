"""`.nv-meta/` is what `energon prepare` finds in the same shards, made without reading them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import warnings
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from fld_engine.engine.stages.export.companions.energon_index import VERSION_BYTES, VERSION_OFFSET
from tests.engine.stages.export.export_builder import write_export
from tests.engine.stages.export.view_builder import photographs, small_jpeg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library's own, at import
    from megatron.energon.flavors.webdataset import indexing, prepare
    from megatron.energon.flavors.webdataset.metadata import WebdatasetMeta
    from megatron.energon.epathlib import EPath  # isort: skip

TABLES = {
    "samples": "SELECT * FROM samples ORDER BY tar_file_id, sample_index",
    "sample_parts": "SELECT * FROM sample_parts ORDER BY tar_file_id, sample_index, content_byte_offset",
}


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    images = [*photographs().values(), *(small_jpeg(n) for n in range(20))]
    write_export(folder, images, max_samples=4, splits=("train", "train", "val"))
    return folder


@pytest.fixture(scope="module")
def prepared(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shards, prepared by Energon itself."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "shards").mkdir()
    for path in sorted((export / "shards").glob("*.tar")):
        shutil.copy(path, folder / "shards")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepare.WebdatasetPreparator.prepare_dataset(
            folder,
            [f"shards/{path.name}" for path in sorted((folder / "shards").iterdir())],
            split_parts_patterns=[("train", "shards/train-.*"), ("val", "shards/val-.*")],
            workers=1,
        )
    return folder


def rows(folder: Path, query: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{folder}/.nv-meta/index.sqlite?mode=ro&immutable=1", uri=True)) as database:
        return database.execute(query).fetchall()


def test_offsets_are_those_that_energon_finds(export: Path, prepared: Path) -> None:
    names = [path.name for path in sorted((prepared / "shards").glob("*.tar.idx"))]
    assert len(names) == 7  # 17 and 8 samples, 4 to a shard
    for name in names:
        assert (export / "shards" / name).read_bytes() == (prepared / "shards" / name).read_bytes()


@pytest.mark.parametrize("table", sorted(TABLES))
def test_the_database_has_the_rows_that_energon_writes(export: Path, prepared: Path, table: str) -> None:
    assert rows(export, TABLES[table]) == rows(prepared, TABLES[table])
    assert len(rows(export, TABLES[table])) == 25 * (3 if table == "sample_parts" else 1)


def test_the_database_is_sound_and_indexed_as_energons(export: Path, prepared: Path) -> None:
    """Without the same indexes, a lookup reads the whole table."""
    assert rows(export, "PRAGMA integrity_check") == [("ok",)]
    columns = "SELECT m.tbl_name, x.name FROM sqlite_master m JOIN pragma_index_info(m.name) x WHERE m.type = 'index'"
    assert sorted(rows(export, columns)) == sorted(rows(prepared, columns))
    assert (export / ".nv-meta/index.sqlite").read_bytes()[VERSION_OFFSET:][:4] == VERSION_BYTES


def test_counts_and_splits_are_those_that_energon_writes(export: Path, prepared: Path) -> None:
    ours, theirs = (json.loads((folder / ".nv-meta/.info.json").read_text()) for folder in (export, prepared))
    assert list(ours["shard_counts"].items()) == list(theirs["shard_counts"].items())
    for split in ("train", "val"):
        our, their = (WebdatasetMeta.from_config(EPath(folder), split_part=split) for folder in (export, prepared))
        assert [(s.name, s.count) for s in our.shards] == [(s.name, s.count) for s in their.shards]
    assert yaml.safe_load((export / ".nv-meta/split.yaml").read_text())["exclude"] == []


def test_a_sample_is_found_by_its_key(export: Path) -> None:
    reader = indexing.SqliteIndexReader(EPath(export / ".nv-meta/index.sqlite"))
    shards = list(json.loads((export / ".nv-meta/.info.json").read_text())["shard_counts"])
    for key, _, tar in list(reader.list_all_samples()):
        part = reader.get_sample_part(key, "json")
        data = (export / shards[tar]).read_bytes()[part.raw_byte_offset :][: part.raw_byte_size]
        assert json.loads(data)["id"] == key
    reader.close()


def test_the_same_shards_give_the_same_bytes(export: Path, tmp_path: Path) -> None:
    images = [*photographs().values(), *(small_jpeg(n) for n in range(20))]
    write_export(tmp_path, images, max_samples=4, splits=("train", "train", "val"))
    names = sorted(path.name for path in (export / ".nv-meta").iterdir())
    assert names == [".info.json", "captioning.yaml", "dataset.yaml", "index.sqlite", "index.uuid", "split.yaml"]
    for name in names:
        assert (tmp_path / ".nv-meta" / name).read_bytes() == (export / ".nv-meta" / name).read_bytes()
