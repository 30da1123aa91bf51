"""The worker's side: views of images, and what of a partition shows a reference."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.partition import PartitionImages, read_output, write_output
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span, Spent
from fld_engine.engine.stages.contamination.read_list import packed
from fld_engine.engine.stages.contamination.reference_set import ReferenceSet, Row, stored_views
from fld_engine.engine.stages.contamination.state import APPEARANCE, CONTAMINATION
from fld_engine.engine.stages.contamination.tables import FINDS, VIEWS, KeepViews, LookUp
from fld_engine.engine.stages.contamination.views import views_of
from fld_engine.schemas.errors import UnreadableImage

HOW = {"bytes": 0, "hash": 1, "picture": 2}
"""How an entry may be found, the surest first."""


def keep_views(task: KeepViews, worker: Worker) -> None:
    """Write the views of a partition; an image that cannot be decoded any more has none, and shows nothing."""
    images = PartitionImages(worker.store, task.partition, task.images)
    condemned = {span.start for span, _ in worker.isolation.condemned}
    rows: list[Row] = []
    for index in range(len(images)):
        row: Row = {"image_id": images.identity(index)[0]}
        worker.report(Span(step=APPEARANCE, start=index, stop=index + 1), 1)
        if index not in condemned:
            with suppress(UnreadableImage):
                row |= packed(views_of(images.pixels(index)))
        rows.append(row)
    output = write_output(
        worker.store, APPEARANCE, task.partition, task.fingerprint, {"views": pa.Table.from_pylist(rows, schema=VIEWS)}
    )
    worker.commit(output, Spent(images_read=images.num_read))


def look_up(task: LookUp, worker: Worker) -> None:
    """Write what of a partition shows a reference: a row an image and list, that of the nearest entry.

    Gold images are the reference themselves, and not looked up.
    """
    store, partition = worker.store, task.partition
    images = PartitionImages(store, partition, ImageLimits()).table
    ordinary = images.filter(pc.invert(images["gold"]))
    references = _references(store.url, task.references)
    found = references.by_hash(ordinary)
    if task.views:
        output = read_output(store, APPEARANCE, partition.id, task.views)
        table = store.read_table(output.files["views"].path)
        found += references.by_picture(stored_views(table.filter(pc.is_in(table["image_id"], ordinary["id"]))))
    worker.report(Span(step=CONTAMINATION, start=0, stop=images.num_rows), images.num_rows)
    tables = {"found": pa.Table.from_pylist(_nearest(found), schema=FINDS)}
    worker.commit(write_output(store, CONTAMINATION, partition, task.fingerprint, tables))


@lru_cache(maxsize=1)
def _references(root: str, path: str) -> ReferenceSet:
    """Kept by a worker from partition to partition."""
    return ReferenceSet(Store(root).read_table(path))


def _nearest(found: Iterable[Row]) -> list[Row]:
    best: dict[tuple[str, str], Row] = {}
    for row in sorted(found, key=lambda row: (HOW[row["how"]], row["distance"], row["entry"])):
        best.setdefault((row["image_id"], row["list"]), row)
    return [row for _, row in sorted(best.items())]
