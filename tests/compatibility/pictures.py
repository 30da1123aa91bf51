"""Pictures of coloured boxes, small enough to be committed, and sources of every kind that hold them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

SIDE = 64
COLOURS = {
    "apple": (210, 30, 30),
    "leaf": (30, 150, 40),
    "kite": (40, 60, 210),
    "lemon": (240, 220, 40),
    "plum": (140, 40, 160),
    "bowl": (40, 200, 210),
}
"""What a box of this colour is a picture of."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG, and what is on it: (name, box in pixels) of each thing in raster order."""

    data: bytes
    things: tuple[tuple[str, tuple[int, int, int, int]], ...]

    @property
    def caption(self) -> str:
        return f"A {' and a '.join(name for name, _ in self.things)}."


def pictures(number: int, *, seed: int) -> list[Picture]:
    """Pictures of two to four boxes, each in a quarter of its own."""
    random = np.random.default_rng(seed)
    return [_picture(random, 2 + i % 3) for i in range(number)]


def _picture(random: np.random.Generator, num_things: int) -> Picture:
    ground = int(random.integers(90, 200))
    image = Image.new("RGB", (SIDE, SIDE), (ground,) * 3)
    things = []
    for quarter in sorted(random.permutation(4)[:num_things].tolist()):
        left, top = SIDE // 2 * (quarter % 2), SIDE // 2 * (quarter // 2)
        x1, y1 = left + int(random.integers(6, 10)), top + int(random.integers(6, 10))
        x2, y2 = x1 + int(random.integers(12, 23)), y1 + int(random.integers(12, 23))
        name = list(COLOURS)[random.integers(len(COLOURS))]
        ImageDraw.Draw(image).rectangle((x1, y1, x2 - 1, y2 - 1), fill=COLOURS[name])
        things.append((name, (x1, y1, x2, y2)))
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return Picture(stream.getvalue(), tuple(things))


def seen(pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> list[tuple[str, tuple[float, float, float, float]]]:
    """The things on a picture, from its pixels alone: (name, box in pixels), quarter by quarter."""
    found = []
    half = SIDE // 2
    for quarter in range(4):
        left, top = half * (quarter % 2), half * (quarter // 2)
        part = pixels[top : top + half, left : left + half]
        for name, colour in COLOURS.items():
            rows, columns = np.nonzero((part == colour).all(axis=2))
            if len(rows):
                box = (left + columns.min(), top + rows.min(), left + columns.max() + 1, top + rows.max() + 1)
                found.append((name, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))))
    return found


# ------------------------------------------------------------------------------------------------------------ sources


def write_folder(folder: Path, drawn: Sequence[Picture], *, classes: bool = False) -> None:
    """A file each; with `classes` in a folder named after the first thing on it."""
    for i, picture in enumerate(drawn):
        path = folder / (picture.things[0][0] if classes else "") / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.data)


def write_tar(path: Path, drawn: Sequence[Picture]) -> None:
    """Images with a caption beside each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for i, picture in enumerate(drawn):
            for name, data in ((f"{i:03d}.png", picture.data), (f"{i:03d}.txt", picture.caption.encode())):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def write_parquet(path: Path, drawn: Sequence[Picture]) -> None:
    """Bytes and two captions a row."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"image": p.data, "caption": [p.caption, "Seen on the web."]} for p in drawn]
    pq.write_table(pa.Table.from_pylist(rows), path)


def write_coco(path: Path, files: Mapping[str, Picture], *, longer: str = "") -> None:
    """Boxes with outlines and a caption of every file; `longer` is a detailed text of the first half of them."""
    names = list(COLOURS)
    images, rows = [], []
    for i, (file, picture) in enumerate(files.items()):
        images.append({"id": i, "file_name": file, "width": SIDE, "height": SIDE})
        rows.append({"image_id": i, "caption": picture.caption})
        if longer and i < len(files) / 2:
            rows.append({"image_id": i, "caption": longer, "granularity": "detailed"})
        rows += [_box_row(i, names.index(name) + 1, box) for name, box in picture.things]
    rows.append({"image_id": "nowhere", "caption": "Of no image."})
    tree = {
        "images": images,
        "annotations": [{"id": i, **row} for i, row in enumerate(rows)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names, start=1)],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(tree), encoding="utf-8")


def _box_row(image: int, category: int, box: tuple[int, int, int, int]) -> Row:
    x1, y1, x2, y2 = box
    outline = [x1, y1, x2, y1, x2, y2, x1, y2]
    return {
        "image_id": image, "category_id": category, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0,
        "segmentation": [outline],
    }  # fmt: skip
