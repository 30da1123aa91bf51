"""Write partitions: the original bytes of new images in a tar, their table, and the source's annotations."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import fingerprint, sha256_hex
from fld_engine.engine.data.journal import AdditionResult, annotations_fingerprint
from fld_engine.engine.data.libraries import PILLOW, versions_here
from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.data.rows import RowWriter
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tar import TarStream
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.sources.item import Locator
from fld_engine.engine.sources.open import read_items
from fld_engine.engine.stages.ingest.deduplicate import with_status
from fld_engine.engine.stages.ingest.find_twins import twins_of
from fld_engine.engine.stages.ingest.tasks import AddToPartition, PackPartition
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.tables import IMAGES

Row = dict[str, Any]


def pack(task: PackPartition, worker: Worker) -> PartitionRecord:
    """Write one partition; a duplicate's places and annotations are kept under the image's id.

    Raises `SourceError` when the bytes of an image are no longer those that were scanned.
    """
    store = worker.store
    images: list[Row] = []
    twins: list[str] = []
    for scan, rows in task.rows:
        twins += twins_of(store, task.twins, scan, rows)
        images.extend(store.read_table(task.scans[scan]).take(pa.array(rows, pa.int64())).to_pylist())
    others = _occurrences(store, task.scans, task.matches, "", {row["id"] for row in images})
    writer = RowWriter()
    for image, twin_group in zip(images, twins, strict=True):
        image["uris"] = [image["uri"]]
        for row in (image, *others.get(image["id"], ())):
            writer.add(image["id"], Annotations.model_validate_json(row["annotations"]))
            if row is not image:
                image["uris"].append(row["uri"])
                image["gold"] = image["gold"] or row["gold"]
        image["twin_group"] = twin_group
        image["member"] = f"{image['id']}.{image['format'].lower()}"
    identity = fingerprint({"images": [image["id"] for image in images]})
    prefix = f"partitions/{task.partition}-{identity}"
    files = {"tar": _write_tar(worker, f"{prefix}.tar", images)}
    files["images"] = store.write_table(f"{prefix}.images.parquet", pa.Table.from_pylist(images, schema=IMAGES))
    files |= {n: store.write_table(f"{prefix}.{n}.parquet", t) for n, t in writer.tables().items()}
    return PartitionRecord(
        id=task.partition,
        ingest=task.ingest,
        fingerprint=identity,
        annotations_fingerprint=annotations_fingerprint([files]),
        num_images=len(images),
        num_bytes=sum(image["num_bytes"] for image in images),
        files=files,
        made_with=(versions_here([PILLOW]),),
    )


def add_to_partition(store: Store, task: AddToPartition) -> AdditionResult:
    """Write the places and annotations that a later ingest found for images of an earlier partition."""
    found = _occurrences(store, task.scans, task.matches, task.partition, None)
    writer = RowWriter(scope=f"+{task.ingest}")
    images = []
    for identity, rows in sorted(found.items()):
        for row in rows:
            writer.add(identity, Annotations.model_validate_json(row["annotations"]))
        images.append({"id": identity, "uris": [row["uri"] for row in rows], "gold": any(row["gold"] for row in rows)})
    prefix = f"partitions/{task.partition}-{fingerprint({'ingest': task.ingest, 'images': images})}+{task.ingest}"
    schema = pa.schema([IMAGES.field(name) for name in ("id", "uris", "gold")])
    files = {"images": store.write_table(f"{prefix}.images.parquet", pa.Table.from_pylist(images, schema=schema))}
    files |= {n: store.write_table(f"{prefix}.{n}.parquet", t) for n, t in writer.tables().items()}
    return AdditionResult(partition=task.partition, files=files)


def _occurrences(
    store: Store, scans: tuple[str, ...], matches: tuple[str, ...], partition: str, ids: set[str] | None
) -> dict[str, list[Row]]:
    """Scan rows of the duplicates of a partition's images, by id, in scan order."""
    wanted: list[Row] = []
    for path in matches:
        table = with_status(store.read_table(path), "duplicate", partition)
        if ids is not None:
            table = table.filter(pc.is_in(table["id"], pa.array(sorted(ids), pa.string())))
        wanted.extend(table.to_pylist())
    by_scan: dict[int, list[int]] = defaultdict(list)
    for row in wanted:
        by_scan[row["scan"]].append(row["row"])
    found: dict[str, list[Row]] = defaultdict(list)
    for scan in sorted(by_scan):
        taken = store.read_table(scans[scan]).take(pa.array(sorted(by_scan[scan]), pa.int64()))
        for row in taken.to_pylist():
            found[row["id"]].append(row)
    return found


def _write_tar(worker: Worker, path: str, images: list[Row]) -> FileRecord:
    locators = [Locator.model_validate_json(image["locator"]) for image in images]
    with worker.store.open_commit(path) as stream, TarStream(stream) as tar:
        for index, (image, data) in enumerate(zip(images, read_items(locators), strict=True)):
            worker.report(Span(step="pack", start=index, stop=index + 1), 1)
            if sha256_hex(data) != image["sha256"]:
                raise SourceError(
                    f"{image['uri']} changed while it was ingested: its bytes are not those that were scanned; "
                    "let the source come to rest and run again"
                )
            image["offset"] = tar.add(image["member"], data)
    return FileRecord(path=path, rows=len(images), num_bytes=tar.num_bytes, sha256=tar.sha256)
