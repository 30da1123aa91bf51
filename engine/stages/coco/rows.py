"""Rows of COCO json (cocodataset.org/#format-data) for the kept annotations of one partition.

What COCO has no place for is in fields of ours, which the source `coco` reads again: `score`, who made it
(`fld_annotator`, `fld_model`, `fld_revision`, `fld_round`, `fld_origin`), the texts of a region with theirs
(`fld_texts`), who made its mask (`fld_mask`), `granularity` of a caption, `fld_labels` and `fld_absences` of an image.
Gold images and dropped annotations are left out. Where a region has no mask, its segmentation is empty.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

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
from fld_engine.schemas.origins import origin_of

UNNAMED = "object"
"""Category of a region without a category phrase."""

TEXTS = ("phrase", "brief")
"""Kinds of texts of a region that are written; others are made again of these."""

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
    kept = exported(view)
    classes = {name: _classes(table.to_pylist()) for name, table in view.of_sources.items()}
    rows = {
        "images": [_image(row, classes) for row in kept["images"].to_pylist()],
        "regions": list(_regions(kept, view.annotations["masks"].to_pylist())),
        "captions": [
            {
                "image": row["image_id"],
                "caption": row["text"],
                "granularity": row["granularity"],
                **_said_by(row),
            }
            for row in kept["texts"].to_pylist()
        ],
    }
    store.write_bytes(task.out, json.dumps(rows, ensure_ascii=False).encode())
    if task.images_folder:
        wanted = set(kept["images"]["id"].to_pylist())
        _write_images(store, task, wanted)
    return CocoPiece(path=task.out)


def _said_by(row: Row) -> Row:
    """How sure somebody was of a row, and who."""
    return {
        "score": row["score"],
        "fld_annotator": row["annotator"],
        "fld_model": row["model"],
        "fld_revision": row["revision"],
        "fld_round": row["round"],
        "fld_origin": str(origin_of(row["annotator"], composed=bool(row.get("composed")))),
    }


def _classes(rows: list[Row]) -> dict[str, list[Row]]:
    """Image id → its classes."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["image_id"], []).append({"label": row["label"], **_said_by(row)})
    return found


def _image(row: Row, classes: Mapping[str, Mapping[str, list[Row]]]) -> Row:
    size = {"width": row["width"], "height": row["height"]}
    said = {f"fld_{name}": of_image[row["id"]] for name, of_image in classes.items() if row["id"] in of_image}
    named = {"file_name": f"{row['id']}.jpg", **size, "fld_id": row["id"], "source": row["source"]}
    return {**named, "licence": row["licence"], **said}


def _regions(kept: Mapping[str, Any], masks: list[Row]) -> Iterator[Row]:
    best: dict[str, Row] = {}
    for row in sorted(masks, key=lambda mask: (-mask["score"], mask["id"])):
        best.setdefault(row["subject_id"], row)
    texts: dict[str, list[Row]] = {}
    for text in kept["region_texts"].to_pylist():
        if text["kind"] in TEXTS:
            told = {"kind": text["kind"], "text": text["text"], **_said_by(text)}
            texts.setdefault(text["region_id"], []).append(told)
    names = region_classes(kept["regions"], kept["region_texts"]).to_pylist()
    for row, name in zip(kept["regions"].to_pylist(), names, strict=True):
        if row["kind"] != "object":
            continue
        x1, y1, x2, y2 = (row[key] for key in ("x1", "y1", "x2", "y2"))
        width, height = round(x2 - x1, 2), round(y2 - y1, 2)
        outline = best.get(row["id"])
        yield {
            "image": row["image_id"], "name": name or UNNAMED, "bbox": [x1, y1, width, height], "iscrowd": 0,
            "segmentation": outline["polygons"] if outline else [],
            "area": round(mask_area(outline["polygons"]) if outline else width * height, 2), **_said_by(row),
            "fld_texts": texts.get(row["id"], []), **({"fld_mask": _said_by(outline)} if outline else {}),
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
