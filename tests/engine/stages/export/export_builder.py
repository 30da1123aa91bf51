"""A whole export in a folder, made from photographs and hand-written annotations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.export.assemble import assemble
from fld_engine.engine.stages.export.manifest import Manifest, ShardRecord
from fld_engine.engine.stages.export.publish import write_export_index
from fld_engine.engine.stages.export.shards import ShardLimits, prepare, write_group
from tests.engine.stages.export.view_builder import box, image_row, make_view

MODELS = {"nanodet": ModelIdentity(id="nanodet-g", revision="3.0.4", sha256="0" * 64, licence="Apache-2.0")}
CONFIG: dict[str, Any] = {
    "name": "demo",
    "seed": 0,
    "sources": [{"name": "photos", "kind": "folder", "url": "/home/somebody/photos"}],
}


def annotated_view(images: Sequence[bytes], *, plain: int = 0) -> PartitionView:
    """A partition in which all but the first `plain` images have a region with a text and a mask, and a grounding."""
    rows = [image_row(data) for data in images]
    tables: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("texts", "regions", "region_texts", "masks", "phrases", "phrase_regions")
    }
    for n, row in enumerate(rows):
        image = {"image_id": row["id"]}
        where = box(1.5, 2.25, 11.5, 12.75) if n >= plain else box(1, 2, 11, 12)
        tables["regions"].append({**image, "id": f"r{n}", "kind": "object", "score": 1.0, **where})
        tables["texts"].append({**image, "id": f"t{n}", "granularity": "brief", "text": f"a cat, number {n}"})
        if n < plain:
            continue
        tables["region_texts"].append({**image, "id": f"rt{n}", "region_id": f"r{n}", "kind": "phrase", "text": "cat"})
        tables["masks"].append({**image, "id": f"m{n}", "subject_id": f"r{n}", "polygons": [[1.5, 2, 9, 2, 9, 8]]})
        phrase = {"id": f"p{n}", "text_id": f"t{n}", "phrase": "a cat", "start": 0, "end": 5}
        tables["phrases"].append({**image, **phrase})
        tables["phrase_regions"].append({**image, "id": f"g{n}", "phrase_id": f"p{n}", "region_id": f"r{n}", **where})
    return make_view(rows, tables)


def write_export(
    folder: Path,
    images: Sequence[bytes],
    *,
    plain: int = 0,
    group: int = 0,
    seed: int = 0,
    max_samples: int = 100,
    max_bytes: int = 1 << 30,
    splits: Sequence[str] = ("train",),
) -> Manifest:
    """Export images as one group; they go to the splits in turn."""
    view = annotated_view(images, plain=plain)
    by_id = {row["id"]: data for row, data in zip(map(image_row, images), images, strict=True)}
    split = {identity: splits[n % len(splits)] for n, identity in enumerate(by_id)}
    store = Store(str(folder))
    written = write_group(
        [prepare(sample) for sample in assemble(view, split.__getitem__)],
        by_id.__getitem__,
        store,
        group=group,
        seed=seed,
        limits=ShardLimits(max_samples=max_samples, max_bytes=max_bytes),
        images=ImageLimits(),
    )
    return write_export_index(store, written.shards, index=[written.index], config=CONFIG, models=MODELS)


def rewrite_index(folder: Path, records: Sequence[ShardRecord]) -> Manifest:
    """Write the files beside the shards anew, for other records; `index.parquet` keeps its rows."""
    index = pq.read_table(folder / "index.parquet")
    return write_export_index(Store(str(folder)), records, index=[index], config=CONFIG, models=MODELS)
