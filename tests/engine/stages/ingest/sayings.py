"""What sources say, in tests that have them say something else later."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.partition import PartitionImages, source_tables
from fld_engine.engine.data.records import PartitionRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from tests.roots import fake_config, write_photographs

Box = tuple[int, int, int, int]
LEFT, RIGHT, BOTH = ((8, 8, 30, 30),), ((50, 8, 30, 30),), ((8, 8, 30, 30), (50, 8, 30, 30))


def config_of(*sources: Mapping[str, Any], **changes: Any) -> RunConfig:
    return fake_config("unused", sources=[dict(source) for source in sources], **changes)


def photos_at(folder: Path, **settings: Any) -> dict[str, Any]:
    return {"url": str(folder), "name": "photos", "kind": "folder", "class_folders": False, **settings}


def coco_at(path: Path, **settings: Any) -> dict[str, Any]:
    return {"url": str(path), "name": path.stem, "kind": "coco", **settings}


def write_coco(folder: Path, said: Mapping[str, Sequence[Box]], name: str = "labels") -> dict[str, Any]:
    """A COCO json that says boxes of some photographs of a folder; returns it as a source."""
    tree = {
        "images": [{"id": i, "file_name": file, "width": 96, "height": 72} for i, file in enumerate(said)],
        "categories": [{"id": 1, "name": "kite"}],
        "annotations": [
            {"id": 10 * i + j, "image_id": i, "category_id": 1, "bbox": list(box)}
            for i, boxes in enumerate(said.values())
            for j, box in enumerate(boxes)
        ],
    }
    (folder / f"{name}.json").write_text(json.dumps(tree))
    return coco_at(folder / f"{name}.json")


def photographs(folder: Path, num: int) -> list[str]:
    """Names of photographs written to a folder."""
    write_photographs(folder, num)
    return sorted(path.name for path in folder.glob("*.jpg"))


def rows(store: Store) -> list[dict[str, Any]]:
    """All images of a root with what is said of them now, by their first place."""
    found = []
    for record in read_partitions(read_journal(store)):
        regions = {gold: source_tables(store, record, gold=gold)["regions"].to_pylist() for gold in (False, True)}
        texts = {gold: source_tables(store, record, gold=gold)["texts"].to_pylist() for gold in (False, True)}
        for row in PartitionImages(store, record, ImageLimits()).table.to_pylist():
            mine = [r for r in regions[row["gold"]] if r["image_id"] == row["id"]]
            row["boxes"] = sorted((r["x1"], r["y1"], r["x2"], r["y2"]) for r in mine)
            row["texts"] = sorted(r["text"] for r in texts[row["gold"]] if r["image_id"] == row["id"])
            found.append(row)
    return sorted(found, key=lambda row: row["id"])


def lefts(store: Store) -> list[list[float]]:
    """x1 of the boxes of each image, images by the name of their file."""
    return [[box[0] for box in row["boxes"]] for row in sorted(rows(store), key=lambda row: Path(row["uri"]).name)]


def partitions(store: Store) -> list[PartitionRecord]:
    return read_partitions(read_journal(store))
