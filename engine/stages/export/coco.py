"""Kept regions and captions as COCO json, for pycocotools and whatever else imports it.

Two files (cocodataset.org/#format-data): `instances.json` holds object regions with their category phrase, box
`[x y width height]`, polygons and area; `captions.json` holds texts. Both list the same images, and annotations carry
what COCO has no place for in fields of ours: `score`, `annotator`, `granularity`. Gold images and dropped annotations
are left out. Where a region has no mask, its segmentation is its box.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from fld_engine.engine.data.exported_rows import class_names, exported
from fld_engine.engine.data.geometry import mask_area
from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.images import ImageLimits, decode, jpeg_bytes
from fld_engine.engine.data.partition import PartitionImages, load_view
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.stages.coverage.stage import committed
from fld_engine.schemas.annotations import Frozen

FOLDER = "coco"
UNNAMED = "object"
"""Category of a region without a category phrase."""

Row = dict[str, Any]


class CocoSummary(Frozen):
    """What was written."""

    images: int
    regions: int
    captions: int
    categories: int


def export_coco(plan: Plan, *, with_images: bool = False) -> CocoSummary:
    """Write `coco/instances.json` and `captions.json`; with `with_images` also `images/<id>.jpg`, upright.

    Streams partition by partition: memory holds one partition and the category names. Numbers of images, annotations
    and categories are theirs in partition order, from 1.
    """
    out = Store(f"{plan.store.url}/{plan.folder}{FOLDER}")
    categories: dict[str, int] = {}
    counts = {"images": 0, "regions": 0, "captions": 0}
    with _List() as images, _List() as regions, _List() as captions:
        for record in plan.partitions:
            view = load_view(plan.store, record, committed(plan, record))
            kept = exported(view)
            numbers = {}
            for row in kept["images"].to_pylist():
                counts["images"] += 1
                numbers[row["id"]] = counts["images"]
                images.add(_image(row, counts["images"]))
            for row in _regions(kept, view.annotations["masks"].to_pylist()):
                counts["regions"] += 1
                category = categories.setdefault(row.pop("name"), len(categories) + 1)
                images_id = numbers[row.pop("image")]
                regions.add({"id": counts["regions"], "image_id": images_id, "category_id": category, **row})
            for row in kept["texts"].to_pylist():
                counts["captions"] += 1
                said = {"caption": row["text"], "granularity": row["granularity"], "annotator": row["annotator"]}
                captions.add({"id": counts["captions"], "image_id": numbers[row["image_id"]], **said})
            if with_images:
                _write_images(out, PartitionImages(plan.store, record, plan.config.images), set(numbers),
                              plan.config.images)  # fmt: skip
        named = [{"id": number, "name": name, "supercategory": ""} for name, number in categories.items()]
        info = {"description": f"fld-engine, {plan.config.name}", "version": "1.0"}
        _write(out, "instances.json", info, images, regions, {"categories": named})
        _write(out, "captions.json", info, images, captions, {})
    return CocoSummary(**counts, categories=len(categories))


class _List:
    """JSON objects on their way into a file, on disk."""

    def __init__(self) -> None:
        self._stream: IO[bytes] = tempfile.TemporaryFile(prefix="fld-coco-")  # noqa: SIM115 - closed by __exit__
        self._empty = True

    def __enter__(self) -> _List:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def add(self, row: Row) -> None:
        self._stream.write((b"" if self._empty else b",\n") + canonical_json(row).encode())
        self._empty = False

    def blocks(self) -> Iterator[bytes]:
        self._stream.seek(0)
        while block := self._stream.read(1 << 20):
            yield block


def _write(store: Store, name: str, info: Row, images: _List, annotations: _List, more: Mapping[str, Any]) -> None:
    with store.open_commit(name) as stream:
        stream.write(b'{"info":' + json.dumps(info).encode() + b',"licenses":[],"images":[\n')
        stream.writelines(images.blocks())
        stream.write(b'\n],"annotations":[\n')
        stream.writelines(annotations.blocks())
        stream.write(b"\n]")
        for key, value in more.items():
            stream.write(f",{json.dumps(key)}:{json.dumps(value, ensure_ascii=False)}".encode())
        stream.write(b"}\n")


def _image(row: Row, number: int) -> Row:
    size = {"width": row["width"], "height": row["height"]}
    return {"id": number, "file_name": f"{row['id']}.jpg", **size, "fld_id": row["id"], "source": row["source"]}


def _regions(kept: Mapping[str, Any], masks: list[Row]) -> Iterator[Row]:
    best: dict[str, list[list[float]]] = {}
    for mask in sorted(masks, key=lambda mask: (-mask["score"], mask["id"])):
        best.setdefault(mask["subject_id"], mask["polygons"])
    names = class_names(kept["regions"], kept["region_texts"], lower=False).to_pylist()
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


def _write_images(store: Store, images: PartitionImages, wanted: set[str], limits: ImageLimits) -> None:
    plain = dict(zip(images.table["id"].to_pylist(), images.table["plain_jpeg"].to_pylist(), strict=True))
    for i in range(len(images)):
        identity = images.identity(i)[0]
        if identity in wanted:
            data = images.data(i)
            store.write_bytes(
                f"images/{identity}.jpg", data if plain[identity] else jpeg_bytes(decode(data, limits).pixels)
            )
