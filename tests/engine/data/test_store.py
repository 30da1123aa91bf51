"""What the store promises: files whole or absent, one listing, roots of other versions refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.data.store import WRITEBACK_BYTES, Store
from fld_engine.schemas.errors import RootError
from fld_engine.schemas.tables import SCHEMA_VERSION


@pytest.fixture(params=["local", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root") if request.param == "local" else f"memory://{tmp_path.name}")


def test_a_file_written_is_read_back_with_its_hash_and_size(store: Store) -> None:
    record = store.write_bytes("stages/a/x.json", b"abc")
    assert store.read_bytes("stages/a/x.json") == b"abc"
    assert record.num_bytes == 3
    assert record.sha256 == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2
    assert store.list_names("stages/a") == {"x.json"}
    assert store.list_names("stages/none") == set()


def test_an_interrupted_write_leaves_nothing_under_the_final_name(store: Store) -> None:
    def interrupted() -> None:
        with store.open_commit("partitions/p.tar") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not store.exists("partitions/p.tar")
    assert store.list_names("partitions") == set()


def test_a_file_of_large_and_small_pieces_comes_back_whole(tmp_path: Path) -> None:
    """Large pieces are sent to the disk while the next ones come: none may be dropped or moved by that."""
    pieces = [bytes([n]) * size for n, size in enumerate((5, 3 * WRITEBACK_BYTES + 1, 7, WRITEBACK_BYTES, 4096))]
    store = Store(str(tmp_path))
    with store.open_commit("shards/a.tar") as stream:
        stream.writelines(pieces)
    assert store.read_bytes("shards/a.tar") == b"".join(pieces)
    assert store.list_names("shards") == {"a.tar"}


@given(st.lists(st.tuples(st.text(), st.floats(allow_nan=False)), max_size=20))
def test_equal_tables_give_equal_bytes_and_come_back_unchanged(rows: list[tuple[str, float]]) -> None:
    store = Store("memory://tables")
    table = pa.table(
        {"a": pa.array([r[0] for r in rows], pa.string()), "b": pa.array([r[1] for r in rows], pa.float64())}
    )
    first = store.write_table("a.parquet", table)
    assert store.write_table("b.parquet", table).sha256 == first.sha256
    assert store.read_table("a.parquet").to_pydict() == table.to_pydict()
    assert first.rows == len(rows)


def test_a_root_of_a_newer_version_is_refused(store: Store) -> None:
    store.write_bytes("root.json", b'{"schema_version": %d}' % (SCHEMA_VERSION + 1))
    with pytest.raises(RootError, match=f"schema version {SCHEMA_VERSION + 1}"):
        store.open_root(create=True)


def test_a_folder_of_other_things_is_not_taken_as_a_root(store: Store) -> None:
    store.write_bytes("holiday/photo.jpg", b"x")
    with pytest.raises(RootError, match="not empty"):
        store.open_root(create=True)


def test_reading_commands_do_not_make_a_root(store: Store) -> None:
    with pytest.raises(RootError, match="not a dataset root"):
        store.open_root(create=False)
    assert not store.exists("root.json")


def test_a_root_under_a_file_is_an_error_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(RootError, match="cannot write"):
        Store(str(tmp_path / "file" / "root")).open_root(create=True)
