"""labelme's json, through the reader and a whole ingest."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.engine.sources.places import authors_of, boxes_of, classes_of, passed_over, read_all
from tests.known_faults.field import ingested, write, write_pictures


def shape(label: str, form: str, *points: tuple[float, float], **more: Any) -> dict[str, Any]:
    empty = {"group_id": None, "description": "", "flags": {}}
    return {"label": label, "points": list(points), "shape_type": form, **empty, **more}


def file_of(image: str, *shapes: Any, **more: Any) -> dict[str, Any]:
    size = {"imageHeight": 120, "imageWidth": 160}
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": image,
        "imageData": None,
        **size,
        **more,
    }


def png(pixels: list[list[int]]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(np.array(pixels, np.uint8) * 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_shapes_are_read_or_counted_by_name(tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", "a.jpg")
    triangle = [(20.0, 30.0), (70.0, 30.0), (70.0, 70.0)]
    shapes = [
        shape("cup", "rectangle", (70.0, 70.0), (20.0, 30.0)),  # drawn from its lower right corner
        shape("pot", "polygon", *triangle, group_id=1),
        shape("pot", "polygon", (90.0, 20.0), (130.0, 20.0), (130.0, 70.0), group_id=1),
        shape("pan", "mask", (10.0, 10.0), (13.0, 12.0), mask=png([[1, 1, 0, 1], [1, 1, 0, 1]])),
        shape("lid", "circle", (10.0, 10.0), (12.0, 10.0)),
        shape("lid", "point", (1.0, 1.0), description="shiny"),
    ]
    write(tmp_path / "in/a.json", file_of("a.jpg", *shapes, flags={"kitchen": True, "garden": False}))
    root = ingested(tmp_path, {"url": "in", "kind": "labelme"})
    assert [(name, box) for _, name, box in boxes_of(root)] == [
        ("cup", (20, 30, 70, 70)),
        ("pan", (10, 10, 14, 12)),
        ("pot", (20, 20, 130, 70)),
    ]
    assert sorted(len(row["polygons"]) for row in root.rows("masks")) == [2, 2]
    assert classes_of(root) == [("a.jpg", "kitchen")]
    assert authors_of(root, "regions", "labels", "masks") == {"human"}
    assert passed_over(root) == {"form_not_read": 2}


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [
        ("box", "bad_record"),
        (shape("", "rectangle", (1, 2), (3, 4)), "no_class"),
        (shape("cup", "rectangle", (1, 2)), "box_malformed"),
        (shape("cup", "rectangle", (1, 2), (1, 9)), "box_empty"),
        (shape("cup", "mask", (1, 2), (3, 4), mask="###"), "box_malformed"),
    ],
)
def test_a_shape_that_is_none_is_refused_alone(tmp_path: Path, drawn: Any, reason: str) -> None:
    write_pictures(tmp_path, "a.jpg")
    write(tmp_path / "a.json", file_of("..\\photos\\a.jpg", drawn, shape("pot", "rectangle", (1, 2), (3, 4))))
    write(tmp_path / "other.json", {"some": "thing"})
    (item,), (other, refused), _ = read_all(tmp_path, kind="labelme")
    assert (refused.reason, other.reason) == (reason, "bad_record")
    assert [one.texts[0].text for one in item.annotations.regions] == ["pot"]
