"""What depends on the regions and texts of an image: masks, read text, and phrases with their boxes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from fld_engine.refinement.labels.boxes import NO_BOXES, Boxes, Grounded
from fld_engine.schemas.annotations import Polygon
from fld_engine.schemas.tables import ANNOTATION_TABLES


@dataclass(frozen=True, slots=True)
class Dependents:
    """Of one image: `masks` by the id of their region, `read` text with its boxes, `phrases` of texts with theirs."""

    masks: Mapping[str, tuple[Polygon, ...]] = field(default_factory=dict)
    read: Boxes = NO_BOXES
    phrases: tuple[Grounded, ...] = ()


NO_DEPENDENTS = Dependents()


def dependents_of(tables: Mapping[str, pa.Table]) -> dict[str, Dependents]:
    """Image id → its dependents; images without any are not in it. Of several masks the surest counts."""
    rows = {name: tables[name].to_pylist() if name in tables else [] for name in ANNOTATION_TABLES}
    masks: dict[str, dict[str, tuple[Polygon, ...]]] = defaultdict(dict)
    for row in sorted(rows["masks"], key=lambda row: row["score"]):
        masks[row["image_id"]][row["subject_id"]] = tuple(map(tuple, row["polygons"]))
    words = {row["region_id"]: row["text"] for row in reversed(rows["region_texts"]) if row["kind"] == "ocr"}
    read: dict[str, list[tuple[list[float], str]]] = defaultdict(list)
    for row in rows["regions"]:
        if row["id"] in words:
            read[row["image_id"]].append((_box(row), words[row["id"]]))
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    for row in sorted(rows["phrase_regions"], key=lambda row: -row["score"]):
        boxes[row["phrase_id"]].append(_box(row))
    phrases: dict[str, list[Grounded]] = defaultdict(list)
    for row in rows["phrases"]:
        if row["id"] in boxes:
            phrases[row["image_id"]].append((row["phrase"], np.array(boxes[row["id"]])))
    return {
        image: Dependents(masks.get(image, {}), _boxes(read.get(image, ())), tuple(phrases.get(image, ())))
        for image in sorted({*masks, *read, *phrases})
    }


def _boxes(read: Sequence[tuple[list[float], str]]) -> Boxes:
    return Boxes(np.array([box for box, _ in read]).reshape(-1, 4), [text for _, text in read])


def _box(row: Mapping[str, Any]) -> list[float]:
    return [row[side] for side in ("x1", "y1", "x2", "y2")]
