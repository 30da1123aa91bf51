"""`.nv-meta/index.sqlite`: a sample by its key, and the bytes of its members, as Megatron-Energon looks them up.

Tables and indexes are those of its `SqliteIndexWriter`, but that the unique index is made after the rows: SQLite then
sorts on disk, where it would touch a random page for every row. Two builds from the same rows have the same bytes.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pyarrow as pa

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.companions.energon import META
from fld_engine.engine.stages.export.companions.hashed_file import HashedFile
from fld_engine.engine.stages.export.manifest import EXTENSIONS, FileEntry, ShardRecord

PATH = f"{META}/index.sqlite"
ROWS_AT_ONCE = 10_000
CREATE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA page_size = 4096;
CREATE TABLE samples (
    tar_file_id INTEGER NOT NULL, sample_key TEXT NOT NULL, sample_index INTEGER NOT NULL,
    byte_offset INTEGER, byte_size INTEGER
);
CREATE TABLE sample_parts (
    tar_file_id INTEGER, sample_index INTEGER, part_name TEXT,
    content_byte_offset INTEGER, content_byte_size INTEGER
);
"""
INDEXES = """
CREATE UNIQUE INDEX idx_samples_sample_key ON samples(sample_key);
CREATE INDEX idx_samples_by_tar_and_idx ON samples(tar_file_id, sample_index);
CREATE INDEX idx_sample_parts_seq ON sample_parts(tar_file_id, sample_index, content_byte_offset);
CREATE INDEX idx_sample_parts_full
    ON sample_parts(tar_file_id, sample_index, part_name, content_byte_offset, content_byte_size);
"""
VERSION_OFFSET = 96
VERSION_BYTES = (3_040_000).to_bytes(4)
"""Where SQLite notes which release wrote a file last (its file format, section 1.3.16), and what stands there always:
exports of two machines must not differ in it."""


class EnergonIndex:
    """A database in the making. `entry` is there once its `write_energon_index` has ended."""

    entry: FileEntry

    def __init__(self, database: sqlite3.Connection, shards: Sequence[ShardRecord]) -> None:
        self._database = database
        self._numbers = {shard.name: number for number, shard in enumerate(shards)}

    def add(self, table: pa.Table) -> None:
        """Take the index rows of a group. Raises `KeyError` for a shard that is not among those given."""
        for batch in table.to_batches(max_chunksize=ROWS_AT_ONCE):
            columns = {name: batch[name].to_pylist() for name in batch.schema.names if name != "tasks"}
            tars = [self._numbers[shard] for shard in columns["shard"]]
            samples = zip(
                tars, columns["id"], columns["position"], columns["offset"], columns["num_bytes"], strict=True
            )
            self._database.executemany("INSERT INTO samples VALUES (?, ?, ?, ?, ?)", samples)
            members = [
                zip(
                    tars,
                    columns["position"],
                    [extension] * len(tars),
                    columns[f"{extension}_offset"],
                    columns[f"{extension}_bytes"],
                    strict=True,
                )
                for extension in EXTENSIONS
            ]
            parts = (part for sample in zip(*members, strict=True) for part in sample)
            self._database.executemany("INSERT INTO sample_parts VALUES (?, ?, ?, ?, ?)", parts)


def remove_energon_index(out: Store) -> None:
    """Leave no database of an earlier export that speaks of other shards."""
    if out.exists(PATH):
        out.delete(PATH)


@contextmanager
def write_energon_index(out: Store, shards: Sequence[ShardRecord]) -> Iterator[EnergonIndex]:
    """Build the database of an export on local disk, and put it in place when all rows are added.

    Memory holds SQLite's cache of 2 MB and `ROWS_AT_ONCE` rows; disk holds the database, and its largest index again.
    Raises `sqlite3.IntegrityError` for an id that stands twice.
    """
    with tempfile.TemporaryDirectory(prefix="fld-") as folder:
        path = Path(folder) / "index.sqlite"
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.executescript(CREATE)
            database.execute("BEGIN")
            index = EnergonIndex(database, shards)
            yield index
            database.execute("COMMIT")
            database.executescript(INDEXES)
        with open(path, "r+b") as file:
            file.seek(VERSION_OFFSET)
            file.write(VERSION_BYTES)
        with out.open_commit(PATH) as stream, open(path, "rb") as file:
            hashed = HashedFile(stream)
            shutil.copyfileobj(file, hashed, 1 << 20)
        index.entry = hashed.entry(PATH)
