"""Rows of COCO json (cocodataset.org/#format-data) for the kept annotations of one partition.

Annotations carry what COCO has no place for in fields of ours: `score`, `annotator`, `granularity`; images, the classes
that sources tell of them: `fld_labels`, `fld_absences`. Gold images and
dropped annotations are left out. Where a region has no mask, its segmentation is its box.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.geometry import mask_area
from fld_engine.engine.data.images import ImageLimits, decode, jpeg_bytes
from fld_engine.engine.data.jpeg_metadata import without_metadata
from fld_engine.engine.data.kept_rows import exported
from fld_engine.engine.data.partition import PartitionImages, load_view
from fld_engine.engine.data.records import PartitionOutputs, PartitionRecord
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.export_settings import Metadata
from fld_engine.schemas.annotations import Frozen

UNNAMED = "object"
"""Category of a region without a category phrase."""

Row = dict[str, Any]


class CocoPartition(Frozen):
    """Write the rows of a partition to `out`, and its images into `images_folder` where there is one."""

    partition: PartitionRecord
    reads: PartitionOutputs
    images: ImageLimits
    images_folder: str
    out: str
    metadata: Metadata = "strip"


class CocoPiece(Frozen):
    """A JSON file with the rows of one partition: `images`, `regions` (with image id and name) and `captions`."""

    path: str


def write_piece(store: Store, task: CocoPartition) -> CocoPiece:
    """Numbers of images, regions and categories are given when all pieces are put together."""
    view = load_view(store, task.partition, task.reads)
    kept, classes = exported(view), _classes(view.of_sources)
    rows = {
        "images": [{**_image(row), **classes.get(row["id"], {})} for row in kept["images"].to_pylist()],
        "regions": list(_regions(kept, view.annotations["masks"].to_pylist())),
        "captions": [
            {
                "image": row["image_id"],
                "caption": row["text"],
                "granularity": row["granularity"],
                "annotator": row["annotator"],
            }
            for row in kept["texts"].to_pylist()
        ],
    }
    store.write_bytes(task.out, json.dumps(rows, ensure_ascii=False).encode())
    if task.images_folder:
        wanted = set(kept["images"]["id"].to_pylist())
        _write_images(store, task, wanted)
    return CocoPiece(path=task.out)


def _image(row: Row) -> Row:
    size = {"width": row["width"], "height": row["height"]}
    return {"file_name": f"{row['id']}.jpg", **size, "fld_id": row["id"], "source": row["source"]}


def _classes(tables: Mapping[str, pa.Table]) -> dict[str, Row]:
    """Image id → `fld_labels` and `fld_absences`: classes of the whole image that sources tell, where they tell any."""
    found: dict[str, Row] = {}
    for name, table in tables.items():
        for row in table.to_pylist():
            mine = found.setdefault(row["image_id"], {}).setdefault(f"fld_{name}", [])
            mine.append({"label": row["label"], "score": row["score"], "annotator": row["annotator"]})
    return found


def _regions(kept: Mapping[str, Any], masks: list[Row]) -> Iterator[Row]:
    best: dict[str, list[list[float]]] = {}
    for mask in sorted(masks, key=lambda mask: (-mask["score"], mask["id"])):
        best.setdefault(mask["subject_id"], mask["polygons"])
    names = region_classes(kept["regions"], kept["region_texts"]).to_pylist()
    for row, name in zip(kept["regions"].to_pylist(), names, strict=True):
        if row["kind"] != "object":
            continue
        x1, y1, x2, y2 = (row[key] for key in ("x1", "y1", "x2", "y2"))
        width, height = round(x2 - x1, 2), round(y2 - y1, 2)
        polygons = best.get(row["id"]) or [[x1, y1, x2, y1, x2, y2, x1, y2]]
        yield {
            "image": row["image_id"], "name": name or UNNAMED, "bbox": [x1, y1, width, height], "iscrowd": 0,
            "segmentation": polygons, "area": round(mask_area(polygons), 2), "score": row["score"],
            "annotator": row["annotator"],
        }  # fmt: skip


def _write_images(store: Store, task: CocoPartition, wanted: set[str]) -> None:
    images = PartitionImages(store, task.partition, task.images)
    plain = dict(zip(images.table["id"].to_pylist(), images.table["plain_jpeg"].to_pylist(), strict=True))
    for i in range(len(images)):
        identity = images.identity(i)[0]
        if identity in wanted:
            data = images.data(i)
            if not plain[identity]:
                data = jpeg_bytes(decode(data, task.images).pixels)
            elif task.metadata == "strip":
                data = bytes(without_metadata(data))
            store.write_bytes(f"{task.images_folder}/{identity}.jpg", data)
