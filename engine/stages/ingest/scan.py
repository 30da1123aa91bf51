"""Read every item of a source chunk: hash it, decode it once, note what it is or why it cannot be read."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import image_id, sha256_hex
from fld_engine.engine.data.images import decode, phash64
from fld_engine.engine.data.source_account import Counting, SourceAccount
from fld_engine.engine.data.tombstones import read_tombstones
from fld_engine.engine.plan.reading import reading
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.sources.item import PassedOver, Rejected, SourceItem
from fld_engine.engine.sources.open import read_chunk
from fld_engine.engine.stages.ingest.account import REMOVED, count_lost, count_others, count_read
from fld_engine.engine.stages.ingest.tables import SCAN, ScanResult, ScanTrouble
from fld_engine.engine.stages.ingest.tasks import ScanChunk
from fld_engine.schemas.errors import TransportError, UnreadableImage
from fld_engine.schemas.tables import QUARANTINE

Row = dict[str, Any]

SCANNING = "scan"
"""Step of the spans of a scan: decoding one item."""


def scan(task: ScanChunk, worker: Worker) -> ScanResult:
    """Scan one chunk. Items condemned by lost workers are quarantined without being touched again.

    Of an image that was removed from the root, nothing is taken but its id. Of a chunk that cannot be read to its end,
    nothing is taken at all: `unread` says why. Tables bear the attempt in their names, so that a worker that was given
    up and goes on cannot overwrite those that count.
    """
    store = worker.store
    removed = read_tombstones(store)
    try:
        rows, rejected, account = _read(task, worker, removed)
    except TransportError as error:
        return ScanResult(index=task.index, files={}, unread=ScanTrouble(kind=error.kind, detail=str(error)))
    name = task.chunk.spec.name
    quarantine = [{"source": name, **one.model_dump()} for one in rejected]
    prefix = f"{task.out}.{uuid.uuid4().hex[:8]}"
    files = {
        "scan": store.write_table(f"{prefix}.scan.parquet", pa.Table.from_pylist(rows, schema=SCAN)),
        "quarantine": store.write_table(
            f"{prefix}.quarantine.parquet", pa.Table.from_pylist(quarantine, schema=QUARANTINE)
        ),
    }
    return ScanResult(index=task.index, files=files, account=account)


def _read(task: ScanChunk, worker: Worker, removed: Collection[str]) -> tuple[list[Row], list[Rejected], SourceAccount]:
    """Rows of the images of a chunk, what was rejected, and what became of everything. Raises `TransportError`."""
    condemned = {span.start: reason for span, reason in worker.isolation.condemned if span.step == SCANNING}
    rows: list[Row] = []
    rejected: list[Rejected] = []
    counting = Counting()
    aside: list[PassedOver] = []  # since the last image
    items = read_chunk(task.chunk, task.images.max_bytes, passed_over=aside.append)
    for unit, found in enumerate(reading(worker, items, task.chunk.base)):
        if isinstance(found, Rejected):
            rejected.append(found)
            continue
        item, data = found
        worker.store.traffic.add(read_bytes=len(data))  # of a source, not of the root
        if unit in condemned:
            rejected.append(Rejected(uri=item.uri, reason=condemned[unit], detail="while it was decoded"))
            count_lost(counting, item)
            continue
        span = Span(step=SCANNING, start=unit, stop=unit + 1)
        worker.report(span, 0)
        if (identity := image_id(sha256_hex(data))) in removed:
            rejected = [one for one in rejected if item.uri not in (one.uri, one.of_image)]
            aside[:] = [one for one in aside if item.uri not in (one.uri, one.of_image)]
            rejected.append(Rejected(uri=identity, reason=REMOVED, detail=""))
        else:
            try:
                rows.append(_row(task, item, data))
                count_read(counting, item.annotations)
            except UnreadableImage as error:
                rejected.append(Rejected(uri=item.uri, reason=error.reason, detail=error.detail))
                count_lost(counting, item)
        count_others(counting, aside)
        aside.clear()
        worker.report(span, 1)
    count_others(counting, [*rejected, *aside])
    return rows, rejected, counting.account()


def _row(task: ScanChunk, item: SourceItem, data: bytes) -> Row:
    image = decode(data, task.images)
    digest = sha256_hex(data)
    return {
        "id": image_id(digest),
        "source": task.chunk.spec.name,
        "uri": item.uri,
        "sha256": digest,
        "num_bytes": len(data),
        "format": image.format,
        "width": image.width,
        "height": image.height,
        "plain_jpeg": image.plain_jpeg,
        "phash": phash64(image.pixels),
        "source_label": item.source_label,
        "licence": item.licence or task.chunk.spec.licence,
        "gold": task.chunk.spec.gold,
        "locator": item.read.model_dump_json(),
        "annotations": item.annotations.model_dump_json(),
    }
