"""What a removal does with folders that no installed stage speaks of: search them, or refuse by name."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from fld_engine.engine.data.forgetting import rewrite_output
from fld_engine.engine.data.partition import write_output
from fld_engine.engine.data.records import OutputRecord, PartitionRecord, record_path
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tombstones import PendingRemoval
from fld_engine.engine.plan.holdings import FOLDER, Declared
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.registry import reserved_steps
from fld_engine.engine.stages.removal.purge import purge, undeclared
from fld_engine.schemas.errors import RootError

GONE, STAYS = "a" * 32, "b" * 32
REMOVAL = PendingRemoval(ids=(GONE,), partitions=("p000000",), attempt="r1234567", shards={}, had_export=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(str(tmp_path / "root"))
    store.open_root(create=True)
    return store


def ids_of(store: Store, path: str) -> list[str]:
    ids: list[str] = store.read_table(path)["image_id"].to_pylist()
    return ids


def scores() -> pa.Table:
    return pa.table({"image_id": [GONE, STAYS], "score": [0.5, 0.7]})


def forget(store: Store) -> None:
    purge(store, REMOVAL, lambda: None)


def test_tables_of_a_folder_that_nobody_declared_lose_the_rows_of_the_image(store: Store) -> None:
    store.write_table("somebodys/scores.parquet", scores())
    assert undeclared(store) == ["somebodys"]
    forget(store)
    assert ids_of(store, "somebodys/scores.parquet") == [STAYS]


@pytest.mark.parametrize("name", ["notes.txt", "numbers.parquet"])
def test_a_folder_that_cannot_be_searched_is_named_before_anything_is_done(store: Store, name: str) -> None:
    """Nobody can tell what a text file, or a table without the column, holds of an image."""
    if name.endswith(".parquet"):
        store.write_table(f"somebodys/{name}", pa.table({"score": [0.5]}))
    else:
        store.write_bytes(f"somebodys/{name}", b"what I saw")
    with pytest.raises(RootError, match="somebodys"):
        undeclared(store)


def declare(store: Store, *holdings: Holding) -> None:
    """A stage whose package was here once noted what it leaves."""
    store.write_model(f"{FOLDER}/departed.json", Declared(stage="departed", rank=50, holdings=holdings))


def test_what_a_package_declared_that_is_gone_is_reached(store: Store) -> None:
    declare(
        store,
        Holding(glob="stages/sharpness", how="derived"),
        Holding(glob="thumbnails", how="by_image"),
        Holding(glob="atlas", how="whole"),
    )
    store.write_bytes("stages/sharpness/p000000-ff.json", b"{}")
    store.write_bytes("stages/sharpness/p000001-ff.json", b"{}")
    store.write_bytes(f"thumbnails/{GONE}/small.jpg", b"x")
    store.write_bytes(f"thumbnails/{STAYS}/small.jpg", b"x")
    store.write_bytes("atlas/all.png", b"x")
    forget(store)
    assert store.list_names("stages/sharpness") == {"p000001-ff.json"}
    assert store.list_names("thumbnails") == {STAYS}
    assert not store.exists("atlas")


def test_a_stage_that_must_forget_by_itself_and_is_gone_stops_the_removal(store: Store) -> None:
    declare(store, Holding(glob="index", how="own"))
    with pytest.raises(RootError, match="stage 'departed', which is not installed"):
        undeclared(store)


def test_an_output_without_a_status_table_is_counted_by_the_images_that_are_left(store: Store) -> None:
    partition = PartitionRecord(
        id="p000000", ingest=1, fingerprint="f", annotations_fingerprint="a", num_images=2, num_bytes=0, files={}
    )
    output = write_output(store, "sharpness", partition, "ff", {"sharpness": scores()})
    path = record_path("sharpness", "p000000", "ff")
    store.write_model(path, output)
    rewrite_output(store, path, {GONE}, "r1234567", lambda: None)
    left: OutputRecord = store.read_model(path, OutputRecord)
    assert (left.done, ids_of(store, left.files["sharpness"].path)) == (1, [STAYS])


def test_folders_of_stages_are_no_names_for_annotators() -> None:
    assert {"verdicts", "coverage", "report", "report-merge", "export"} <= reserved_steps()
