"""Write partitions: the original bytes of new images in a tar, their table, and the source's annotations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.hashing import fingerprint, sha256_hex
from fld_engine.engine.data.journal import annotations_fingerprint
from fld_engine.engine.data.libraries import PILLOW, versions_here
from fld_engine.engine.data.places import Place, places_table
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
from fld_engine.engine.stages.ingest.tasks import PackPartition
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
    others = occurrences(store, task.scans, task.matches, "", ("duplicate",), {row["id"] for row in images})
    writer = RowWriter()
    places: dict[str, list[Place]] = {}
    for image, twin_group in zip(images, twins, strict=True):
        mine = places[image["id"]] = [Place.of(row) for row in (image, *others.get(image["id"], ()))]
        for place in mine:
            writer.add(image["id"], Annotations.model_validate_json(place.annotations))
        image["uris"] = [place.uri for place in mine]
        image["gold"] = any(place.gold for place in mine)
        image["twin_group"] = twin_group
        image["member"] = f"{image['id']}.{image['format'].lower()}"
    identity = fingerprint({"images": [image["id"] for image in images]})
    prefix = f"partitions/{task.partition}-{identity}"
    # the ids say all of the tar; a pack that was given up and goes on may know other places and annotations of them
    said = fingerprint({"images": images, "others": others})[:8]
    files = {"tar": _write_tar(worker, f"{prefix}.tar", images)}
    prefix = f"{prefix}.{said}"
    files["images"] = store.write_table(f"{prefix}.images.parquet", pa.Table.from_pylist(images, schema=IMAGES))
    tables = {"places": places_table(places), **writer.tables()}
    files |= {n: store.write_table(f"{prefix}.{n}.parquet", t) for n, t in tables.items()}
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


def occurrences(
    store: Store,
    scans: tuple[str, ...],
    matches: tuple[str, ...],
    partition: str,
    states: Collection[str],
    ids: set[str] | None = None,
) -> dict[str, list[Row]]:
    """Scan rows of a partition's images (empty: of new ones) with one of these statuses, by id, in scan order."""
    wanted: list[Row] = []
    for path in matches:
        table = store.read_table(path)
        for status in states:
            mine = with_status(table, status, partition)
            if ids is not None:
                mine = mine.filter(pc.is_in(mine["id"], pa.array(sorted(ids), pa.string())))
            wanted.extend(mine.to_pylist())
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
