"""Partitions built by hand: rows by name, every other column filled in."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from fld_engine.engine.data.hashing import image_id, sha256_hex
from fld_engine.engine.data.view import PartitionView
from fld_engine.schemas.tables import ANNOTATION_TABLES, IMAGES, STATUS, VERDICT_TARGETS, verdict_schema

Row = dict[str, Any]
SOURCE: Row = {"annotator": "nanodet", "model": "nanodet-g", "revision": "3.0.4", "round": 0}
DEFAULTS: Row = {pa.string(): "", pa.float64(): 0.5, pa.int32(): 0, pa.int64(): 0, pa.bool_(): False}


def photographs() -> dict[str, bytes]:
    """Original bytes of photographs that scikit-image and scikit-learn carry: three JPEGs and two PNGs."""
    folders = {"skimage": ("rocket.jpg", "coffee.png", "chelsea.png"), "sklearn": ("china.jpg", "flower.jpg")}
    inside = {"skimage": "data", "sklearn": "datasets/images"}
    return {
        name: Path(str(files(package))).joinpath(inside[package], name).read_bytes()
        for package, names in folders.items()
        for name in names
    }


def small_jpeg(seed: int) -> bytes:
    """A 24 x 16 JPEG that no other seed gives."""
    image = Image.new("RGB", (24, 16), (seed % 256, seed // 256 % 256, 90))
    image.putpixel((seed % 24, seed % 16), (255, 255, 255))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue() + seed.to_bytes(4)  # trailing bytes are ignored by decoders, and make the hash unique


def fill(schema: pa.Schema, rows: Iterable[Row]) -> pa.Table:
    """A table in which what a row does not say has a default of its type."""
    full = [{**{f.name: DEFAULTS.get(f.type, []) for f in schema}, **_said_by(schema), **row} for row in rows]
    return pa.Table.from_pylist(full, schema=schema)


def _said_by(schema: pa.Schema) -> Row:
    return SOURCE if "annotator" in schema.names else {}


def box(x1: float, y1: float, x2: float, y2: float) -> Row:
    return {"x1": x1, "y1": y1, "x2": x2, "y2": y2}


def image_row(data: bytes, **columns: Any) -> Row:
    width, height = Image.open(io.BytesIO(data)).size
    sha256 = sha256_hex(data)
    return {
        "id": image_id(sha256),
        "source": "photos",
        "uri": f"photos/{sha256[:8]}.jpg",
        "sha256": sha256,
        "num_bytes": len(data),
        "width": width,
        "height": height,
        "plain_jpeg": data[:2] == b"\xff\xd8",
        "twin_group": sha256[:32],
        **columns,
    }


def make_view(
    images: Sequence[Row],
    tables: Mapping[str, Sequence[Row]] | None = None,
    *,
    dropped: Iterable[str] = (),
    chosen: Iterable[str] = (),
    status: Mapping[str, Mapping[str, str]] | None = None,
    producers: Mapping[str, tuple[str, ...]] | None = None,
) -> PartitionView:
    """A partition of `images` with annotation rows by table name.

    `dropped` and `chosen` are ids that a verdict drops or chooses; `status` maps annotator → image id → status where
    it is not `done`; `producers` maps family → annotators.
    """
    producers = producers or {"texts": ("captioner",), "regions": ("nanodet",), "groundings": ("matcher",)}
    image_table = fill(IMAGES, images)
    annotations = {name: fill(schema, (tables or {}).get(name, ())) for name, schema in ANNOTATION_TABLES.items()}
    ids = image_table["id"].to_pylist()
    statuses = {
        name: fill(STATUS, [{"image_id": i, "status": (status or {}).get(name, {}).get(i, "done")} for i in ids])
        for names in producers.values()
        for name in names
    }
    judged = {**annotations, "images": image_table.append_column("image_id", image_table["id"])}
    verdicts = {name: _verdicts(judged[name], set(dropped), set(chosen)) for name in VERDICT_TARGETS}
    return PartitionView(
        id="p000000",
        images=image_table,
        annotations=annotations,
        status=statuses,
        verdicts=verdicts,
        producers=producers,
        gold={},
    )


def _verdicts(table: pa.Table, dropped: set[str], chosen: set[str]) -> pa.Table:
    rows = [
        {"id": row["id"], "image_id": row["image_id"], "kept": row["id"] not in dropped, "chosen": row["id"] in chosen}
        for row in table.to_pylist()
    ]
    return fill(verdict_schema([]), rows)
