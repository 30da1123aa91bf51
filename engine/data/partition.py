"""Read one partition: its images, its committed outputs, and both side by side."""

from __future__ import annotations

import mmap
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.images import RGB, ImageLimits, decode
from fld_engine.engine.data.people import said_once
from fld_engine.engine.data.records import FileRecord, OutputRecord, PartitionOutputs, PartitionRecord, record_path
from fld_engine.engine.data.rows import concat
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.view import OF_NO_SOURCE, PartitionView
from fld_engine.schemas.tables import ANNOTATION_TABLES, VERDICT_TARGETS


class PartitionImages:
    """The images of a partition. Bytes are mapped locally, and fetched in one request from an object store.

    `limits` are those of partitions that do not know which they were accepted under.
    """

    def __init__(self, store: Store, record: PartitionRecord, limits: ImageLimits) -> None:
        self._store, self._record, self._limits = store, record, record.limits or limits
        self.num_read = 0

    @cached_property
    def table(self) -> pa.Table:
        """Images with what later additions found out: more `uris`, and what their sources say of them now."""
        table = self._store.read_table(self._record.files["images"].path)
        for addition in self._record.additions:
            table = _with_addition(table, self._store.read_table(addition["images"].path))
        return table

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        columns = ["id", "width", "height", "offset", "num_bytes", "twin_group"]
        rows: list[dict[str, Any]] = self._store.read_table(self._record.files["images"].path, columns).to_pylist()
        return rows

    @cached_property
    def _tar(self) -> memoryview:
        file = self._record.files["tar"]
        if not self._store.local:
            return memoryview(self._store.read_bytes(file.path, file.num_bytes))
        with open(self._store.path(file.path), "rb") as stream:
            return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))

    def fetch(self) -> None:
        """Have the bytes at hand, so that nothing need be asked of a store while a batch is at work."""
        _ = self._tar

    def __len__(self) -> int:
        return self._record.num_images

    def identity(self, index: int) -> tuple[str, int, int]:
        """(id, width, height) of the image at a place in partition order."""
        row = self._rows[index]
        return row["id"], row["width"], row["height"]

    def twin_group(self, index: int) -> str:
        """The group of near-twins that the image belongs to; its own id where it has none."""
        row = self._rows[index]
        return str(row["twin_group"] or row["id"])

    def data(self, index: int) -> bytes:
        """The original bytes."""
        return bytes(self.view(index))

    def view(self, index: int) -> memoryview:
        """The original bytes where they lie: from a local root, they are read when they are first looked at."""
        row = self._rows[index]
        if self._store.local:  # elsewhere all of it was counted when it was fetched
            self._store.traffic.add(read_bytes=row["num_bytes"])
        return self._tar[row["offset"] : row["offset"] + row["num_bytes"]]

    def pixels(self, index: int) -> RGB:
        """The decoded image. Raises `UnreadableImage`, though ingest has read the same bytes before."""
        self.num_read += 1
        return decode(self.data(index), self._limits).pixels


def _with_addition(table: pa.Table, addition: pa.Table) -> pa.Table:
    """`addition` says all that can change of its images; where version 0.1 wrote it, what came to that."""
    more = {row["id"]: row for row in addition.to_pylist()}
    whole = "licence" in addition.schema.names
    rows = table.to_pylist()
    for row in rows:
        if (extra := more.get(row["id"])) and whole:
            row.update(extra)
        elif extra:
            row["uris"] = [*row["uris"], *(u for u in extra["uris"] if u not in row["uris"])]
            row["gold"] = row["gold"] or extra["gold"]
    return pa.Table.from_pylist(rows, schema=table.schema)


def read_output(store: Store, step: str, partition: str, fingerprint: str) -> OutputRecord:
    record: OutputRecord = store.read_model(record_path(step, partition, fingerprint), OutputRecord)
    return record


def write_output(
    store: Store,
    step: str,
    partition: PartitionRecord,
    fingerprint: str,
    tables: Mapping[str, pa.Table],
    *,
    made_with: tuple[Mapping[str, str], ...] = (),
) -> OutputRecord:
    """Write the tables of a step for a partition, under names of this attempt.

    Images are counted by their table `status`; where there is none, all of them are done.
    """
    prefix = f"stages/{step}/{partition.id}-{fingerprint}.{uuid.uuid4().hex[:8]}"
    files = {name: store.write_table(f"{prefix}.{name}.parquet", table) for name, table in tables.items()}
    counts = {"done": partition.num_images}
    if "status" in tables:
        states = tables["status"]["status"].to_pylist()
        counts = {state: states.count(state) for state in ("done", "failed", "not_run")}
    return OutputRecord(
        step=step, partition=partition.id, fingerprint=fingerprint, files=files, made_with=made_with, **counts
    )


def read_tables(store: Store, output: OutputRecord) -> dict[str, pa.Table]:
    return {name: store.read_table(file.path) for name, file in output.files.items()}


def source_tables(store: Store, record: PartitionRecord, *, gold: bool) -> dict[str, pa.Table]:
    """Human and web annotations of the gold images (`gold`), or of all others, as their sources state them now.

    What people said twice is there once.
    """
    stacked = said_once(said_tables(store, record))
    images = PartitionImages(store, record, ImageLimits()).table
    ids = images["id"].filter(images["gold"])
    return {
        name: table.filter(is_gold if gold else pc.invert(is_gold))
        for name, table in stacked.items()
        for is_gold in [pc.is_in(table["image_id"], ids)]
    }


def revises(files: Mapping[str, FileRecord]) -> bool:
    """Whether the files of an addition say all that is now said of their images; those of version 0.1 add to it."""
    return "places" in files


def said_tables(store: Store, record: PartitionRecord) -> dict[str, pa.Table]:
    """Annotations of all images as their sources state them now; in partition order where any were revised."""
    said = concat([_annotations(store, record.files)])
    for files in record.additions:
        if revises(files):
            revised = store.read_table(files["images"].path, ["id"])["id"].combine_chunks()
            said = {n: t.filter(pc.invert(pc.is_in(t["image_id"], revised))) for n, t in said.items()}
        said = concat([said, _annotations(store, files)])
    if not any(revises(files) for files in record.additions):
        return said
    ids = store.read_table(record.files["images"].path, ["id"])["id"].combine_chunks()
    return {name: _in_order(table, ids) for name, table in said.items()}


def _annotations(store: Store, files: Mapping[str, FileRecord]) -> dict[str, pa.Table]:
    return {name: store.read_table(file.path) for name, file in files.items() if name in ANNOTATION_TABLES}


def _in_order(table: pa.Table, ids: pa.Array) -> pa.Table:
    """Rows by the place of their image; those of one image stay in their order."""
    places = pc.index_in(table["image_id"], value_set=ids)
    return table.take(pc.sort_indices(pa.table({"place": places}), sort_keys=[("place", "ascending")]))


CARRIED = "status-"
"""Prefix of the files of a partition that say how far a family of its labels was annotated before they were carried."""


def carried_status(store: Store, record: PartitionRecord) -> list[tuple[str, str, pa.Table]]:
    """(family, name of the file, status table) of the families whose labels come with the partition."""
    return [
        (name.removeprefix(CARRIED), name, store.read_table(file.path))
        for name, file in record.files.items()
        if name.startswith(CARRIED)
    ]


def load_view(store: Store, record: PartitionRecord, committed: PartitionOutputs) -> PartitionView:
    """Everything committed about a partition."""

    def output(step: str, fingerprint: str) -> dict[str, pa.Table]:
        return read_tables(store, read_output(store, step, record.id, fingerprint))

    outputs = {step: output(step, fingerprint) for step, fingerprint in committed.outputs.items()}
    verdicts = output("verdicts", committed.verdicts) if committed.verdicts else {}
    carried = carried_status(store, record)
    said = source_tables(store, record, gold=False)
    specialists = pa.array(sorted({*committed.outputs, *committed.specialists}), pa.string())
    return PartitionView(
        id=record.id,
        images=PartitionImages(store, record, ImageLimits()).table,
        annotations=concat([said, *outputs.values()]),
        status={step: tables["status"] for step, tables in outputs.items()}
        | {name: table for _, name, table in carried},
        verdicts={target: verdicts[target] for target in VERDICT_TARGETS if target in verdicts},
        producers=dict(committed.producers) | {family: (name,) for family, name, _ in carried},
        gold=source_tables(store, record, gold=True),
        of_sources={n: said[n].filter(pc.invert(pc.is_in(said[n]["annotator"], specialists))) for n in OF_NO_SOURCE},
    )
