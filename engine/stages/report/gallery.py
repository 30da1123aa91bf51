"""The images of a gallery: a small picture, and every annotation with its verdict and where it comes from."""

from __future__ import annotations

import base64
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from fld_engine.engine.data.images import ImageLimits, decode
from fld_engine.engine.data.kept_rows import judged_rows, status_of
from fld_engine.engine.data.partition import PartitionImages, load_view
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.view import PartitionView
from fld_engine.engine.stages.report.tasks import DrawGallery
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import OWN_TEXTS, REGION_FAMILIES

PICTURE_BYTES = 60_000
QUALITIES = ((640, 82), (640, 65), (480, 60), (320, 50))
"""(longest side, JPEG quality), tried in turn until a picture is within `PICTURE_BYTES`."""
MAX_BOXES = 400
"""Of one image; the best kept come first, then the best dropped."""

Row = dict[str, Any]


class GalleryResult(Frozen):
    """Where the images of a partition are written: JSON, one record an image."""

    path: str


def write_gallery(store: Store, task: DrawGallery) -> GalleryResult:
    """Write the records of the task's images, in its order."""
    view = load_view(store, task.partition, task.reads)
    images = PartitionImages(store, task.partition, task.images)
    place = {images.identity(i)[0]: i for i in range(len(images))}
    records = []
    for image_id in task.image_ids:
        picture = small_picture(images.data(place[image_id]), task.images)
        records.append({**image_record(view, image_id), "picture": picture})
    store.write_bytes(task.out, json.dumps(records, ensure_ascii=False, sort_keys=True).encode())
    return GalleryResult(path=task.out)


def small_picture(data: bytes, limits: ImageLimits) -> str:
    """A data URL of a JPEG of the upright image, its longest side up to 640 px."""
    whole = Image.fromarray(decode(data, limits).pixels)
    encoded = b""
    for side, quality in QUALITIES:
        picture = whole.copy()
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        encoded = buffer.getvalue()
        if len(encoded) <= PICTURE_BYTES:
            break
    return "data:image/jpeg;base64," + base64.b64encode(encoded).decode()


def image_record(view: PartitionView, image_id: str) -> Row:
    """Everything known of one image: texts with their phrases, boxes of all families, verdicts and sources.

    Boxes are in pixels of the original. A box of a phrase names it in `phrase`, its text's index in `text`.
    """
    image = view.images.filter(pc.equal(view.images["id"], image_id)).to_pylist()[0]
    texts = [_text(row) for row in judged_rows(view, "texts", image_id)]
    text_place = {text["id"]: i for i, text in enumerate(texts)}
    phrases = judged_rows(view, "phrases", image_id)
    spans = {row["id"]: row for row in phrases}
    for row in phrases:
        if row["text_id"] in text_place:
            texts[text_place[row["text_id"]]]["phrases"].append(_phrase(row))
    masks: dict[str, list[list[float]]] = {}
    for row in sorted(_rows(view.annotations["masks"], image_id), key=lambda row: -row["score"]):
        masks.setdefault(row["subject_id"], [[round(value, 1) for value in polygon] for polygon in row["polygons"]])
    candidates = defaultdict(list)
    for row in judged_rows(view, "region_texts", image_id):
        candidates[row["region_id"]].append(_candidate(row))
    boxes = [_region(row, candidates[row["id"]]) for row in judged_rows(view, "regions", image_id)]
    for row in judged_rows(view, "phrase_regions", image_id):
        if row["phrase_id"] in spans:
            phrase = spans[row["phrase_id"]]
            boxes.append(_grounded(row, phrase, text_place.get(phrase["text_id"], -1)))
    boxes.sort(key=lambda box: (not box["kept"], -box["score"], box["id"]))
    for box in boxes[:MAX_BOXES]:
        box["polygons"] = masks.get(box["id"], [])
    return {
        "id": image_id,
        "source": image["source"],
        "uri": image["uri"],
        "licence": image["licence"],
        "partition": view.id,
        "width": image["width"],
        "height": image["height"],
        "status": status_of(view, image_id),
        "texts": texts,
        "boxes": boxes[:MAX_BOXES],
        "boxes_left_out": max(0, len(boxes) - MAX_BOXES),
        "labels": [{"label": r["label"], "score": r["score"]} for r in _rows(view.annotations["labels"], image_id)],
    }


def _text(row: Row) -> Row:
    fields = ("id", "granularity", "text", "composed")
    return {**{name: row[name] for name in fields}, **_common(row), "phrases": []}


def _phrase(row: Row) -> Row:
    fields = ("id", "phrase", "start", "end", "derived")
    return {**{name: row[name] for name in fields}, **_common(row)}


def _candidate(row: Row) -> Row:
    return {"kind": row["kind"], "text": row["text"], "chosen": row["chosen"], **_common(row)}


def _region(row: Row, candidates: Sequence[Row]) -> Row:
    family = next(family for family, kind in REGION_FAMILIES.items() if kind == row["kind"])
    label = next((c["text"] for c in candidates if c["kind"] == OWN_TEXTS[row["kind"]]), "")
    return {
        "id": row["id"],
        "family": family,
        "label": label,
        "xyxy": [row[name] for name in ("x1", "y1", "x2", "y2")],
        "quad": row["quad"],
        "texts": list(candidates),
        "phrase": "",
        **_common(row),
    }


def _grounded(row: Row, phrase: Row, text: int) -> Row:
    return {
        "id": row["id"],
        "family": "phrase-region",
        "label": phrase["phrase"],
        "xyxy": [row[name] for name in ("x1", "y1", "x2", "y2")],
        "quad": [],
        "texts": [],
        "phrase": row["phrase_id"],
        "text": text,
        "region_id": row["region_id"],
        "derived": phrase["derived"],
        **_common(row),
    }


def _common(row: Row) -> Row:
    """Score, maker and verdict; `values` are what the filters decided on."""
    return {
        "score": round(row["score"], 4),
        "by": row["annotator"],
        "model": row["model"],
        "revision": row["revision"],
        "round": row["round"],
        "kept": row["kept"],
        "reason": row["reason"],
        "values": {name: round(value, 4) for name, value in row["values"].items()},
    }


def _rows(table: pa.Table, image_id: str) -> list[Row]:
    rows: list[Row] = table.filter(pc.equal(table["image_id"], image_id)).to_pylist()
    return rows
