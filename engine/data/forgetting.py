"""Write files again without the rows and bytes of some images, under new names: files of a root never change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.partition import PartitionImages
from fld_engine.engine.data.records import FileRecord, OutputRecord, PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tar import TarStream

Tick = Callable[[], None]
"""Called after every change of the root."""


def renamed(path: str, attempt: str) -> str:
    """The name of a file's successor: `a/p0-f.1234.texts.parquet` → `a/p0-f.<attempt>.texts.parquet`."""
    folder, _, name = path.rpartition("/")
    stem, *rest = name.split(".")
    kept = rest[-2:] if rest[-1] == "parquet" else rest[-1:]
    return f"{folder}/{'.'.join([stem, attempt, *kept])}"


def without(table: pa.Table, ids: Collection[str]) -> pa.Table:
    """The rows that are not about these images, in order; metadata stays."""
    return table.filter(pc.invert(_about(table, ids)))


def mentions(table: pa.Table, ids: Collection[str]) -> bool:
    """Whether any row is about one of these images."""
    return bool(pc.any(_about(table, ids), min_count=0).as_py())


def _about(table: pa.Table, ids: Collection[str]) -> pa.Array:
    column = "image_id" if "image_id" in table.schema.names else "id"
    return pc.is_in(table[column], value_set=pa.array(sorted(ids), pa.string()))


def rewrite_tables(
    store: Store, files: Mapping[str, FileRecord], ids: Collection[str], attempt: str, tick: Tick
) -> dict[str, FileRecord]:
    """Tables without some images; those that do not speak of them stay as they are."""
    rewritten = dict(files)
    for name, file in files.items():
        table = store.read_table(file.path)
        if mentions(table, ids):
            rewritten[name] = store.write_table(renamed(file.path, attempt), without(table, ids))
            tick()
    return rewritten


def rewrite_output(store: Store, path: str, ids: Collection[str], attempt: str, tick: Tick) -> OutputRecord:
    """An output without some images, its record written last; an output without table `status` has done them all."""
    output: OutputRecord = store.read_model(path, OutputRecord)
    files = rewrite_tables(store, output.files, ids, attempt, tick)
    if files == dict(output.files):
        return output
    if "status" in files:
        states = store.read_table(files["status"].path, ["status"])["status"].to_pylist()
        counts = {state: states.count(state) for state in ("done", "failed", "not_run")}
    else:
        tables = [store.read_table(file.path) for name, file in output.files.items() if file != files[name]]
        gone = {one for table in tables for one in table["image_id"].to_pylist()} & set(ids)
        counts = {"done": output.done - len(gone)}
    output = output.model_copy(update={"files": files, **counts})
    store.write_model(path, output)
    tick()
    return output


def rewrite_partition(
    store: Store, record: PartitionRecord, ids: Collection[str], attempt: str, tick: Tick
) -> PartitionRecord:
    """A partition without some images. Its fingerprints stay, and with them all that was made from its other images."""
    table = store.read_table(record.files["images"].path)
    if not mentions(table, ids):
        return record
    tables = {name: file for name, file in record.files.items() if name not in ("tar", "images")}
    files = rewrite_tables(store, tables, ids, attempt, tick)
    bare = record.model_copy(update={"additions": ()})
    images = PartitionImages(store, bare, ImageLimits())
    kept = [index for index in range(len(images)) if images.identity(index)[0] not in ids]
    rows = table.take(pa.array(kept, pa.int64())).to_pylist()
    path = renamed(record.files["tar"].path, attempt)
    with store.open_commit(path) as stream, TarStream(stream) as tar:
        for index, row in zip(kept, rows, strict=True):
            row["offset"] = tar.add(row["member"], images.data(index))
    tick()
    files["tar"] = FileRecord(path=path, rows=len(rows), num_bytes=tar.num_bytes, sha256=tar.sha256)
    files["images"] = store.write_table(
        renamed(record.files["images"].path, attempt), pa.Table.from_pylist(rows, schema=table.schema)
    )
    tick()
    num_bytes = sum(row["num_bytes"] for row in rows)
    return record.model_copy(update={"files": files, "num_images": len(rows), "num_bytes": num_bytes})


def delete_all(store: Store, folder: str, names: Iterable[str], tick: Tick) -> None:
    """In the order given, which may matter: a record goes before what it speaks of."""
    for name in names:
        store.delete(f"{folder}/{name}")
        tick()


def unfinished(name: str) -> bool:
    """Whether a name is that of a temporary file that a killed writer left."""
    return name.endswith(".tmp")
