"""Small inputs as people's tools write them, and all that a root says about them in one comparable shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as masks

from fld_engine.engine.stages.ingest.stage import Ingest
from tests.known_faults.in_process import Root, new_root, plain_config
from tests.known_faults.pictures import WH, jpeg

Row = dict[str, Any]
Case = tuple[Callable[[Path], Row], Row, str, type[Exception]]
"""What writes an input and gives its source; what must be said of it; why it is not, and what is raised instead."""
Place = tuple[str, tuple[int, ...]]
"""(class or phrase, x1 y1 x2 y2 in whole pixels of the upright image)."""

A, B = [20, 30, 50, 40], [90, 20, 40, 50]
"""Two boxes as COCO writes them, x y width height."""
AT, BT = (20, 30, 70, 70), (90, 20, 130, 70)
"""The same as corners."""
LABELS = {"url": "labels.json", "images_url": "images"}
"""A COCO json beside its folder of pictures."""


@dataclass(frozen=True)
class Said:
    """`images` are URIs without the source's name, all lists in order; `rejected` are reasons."""

    images: list[str]
    texts: list[str]
    objects: list[Place]
    phrases: list[Place]
    num_masks: int
    rejected: list[str]


def ingested(folder: Path, *sources: Row) -> Root:
    """A root made of sources whose URLs are relative to `folder`, each named `src` where it has no name."""
    given = [
        {"name": "src", **source, **{k: f"{folder}/{source[k]}" for k in ("url", "images_url") if k in source}}
        if "://" not in source["url"]
        else source
        for source in sources
    ]
    root = new_root(folder / "root", plain_config(*given))
    root.run(Ingest())
    return root


def said_of(root: Root) -> Said:
    """Everything that the sources of a root said, as it stands in its tables."""
    names = {row["region_id"]: row["text"] for row in root.rows("region_texts") if row["kind"] == "phrase"}
    phrases = {row["id"]: row["phrase"] for row in root.rows("phrases")}
    return Said(
        images=sorted(row["uri"].removeprefix("src").lstrip("/#!") for row in root.rows("images")),
        texts=sorted(row["text"] for row in root.rows("texts")),
        objects=sorted((names.get(row["id"], ""), _corners(row)) for row in root.rows("regions")),
        phrases=sorted((phrases[row["phrase_id"]], _corners(row)) for row in root.rows("phrase_regions")),
        num_masks=len(root.rows("masks")),
        rejected=sorted(row["reason"] for row in root.quarantine()),
    )


def _corners(row: Row) -> tuple[int, ...]:
    return tuple(round(row[name]) for name in ("x1", "y1", "x2", "y2"))


def faults(cases: Mapping[str, Case]) -> list[Any]:
    """Cases as parameters, each expected to fail for its own reason."""
    return [
        pytest.param(writer, right, id=name, marks=pytest.mark.xfail(strict=True, raises=raises, reason=reason))
        for name, (writer, right, reason, raises) in cases.items()
    ]


# ------------------------------------------------------------------------------------------------ writing


def write(path: Path, data: bytes | str | Mapping[str, Any]) -> None:
    """Bytes, text, or an object as JSON, in folders that are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = data if isinstance(data, bytes | str) else json.dumps(data, ensure_ascii=False)
    path.write_bytes(text.encode() if isinstance(text, str) else text)


def write_pictures(folder: Path, *names: str) -> None:
    """A picture of its own under each name."""
    for seed, name in enumerate(names):
        write(folder / name, jpeg(seed))


def image(number: Any, name: str, **more: Any) -> Row:
    """A record of COCO's `images`."""
    return {"id": number, "file_name": name, "width": WH[0], "height": WH[1], **more}


def box(number: Any, of_image: Any, category: Any, xywh: Sequence[float], **more: Any) -> Row:
    """A record of COCO's `annotations`."""
    area = xywh[2] * xywh[3]
    named = {"id": number, "image_id": of_image, "category_id": category}
    return {**named, "bbox": list(xywh), "area": area, "iscrowd": 0, "segmentation": [], **more}


def labels(images: Sequence[Row], annotations: Sequence[Row], *names: str) -> Row:
    """A COCO json with categories numbered from 1."""
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(names, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def compressed(xywh: list[int]) -> str:
    """A filled box as the string of run lengths that COCO writes."""
    x, y, w, h = xywh
    pixels = np.zeros((WH[1], WH[0]), np.uint8)
    pixels[y : y + h, x : x + w] = 1
    counts: bytes = masks.encode(np.asfortranarray(pixels))["counts"]
    return counts.decode()
