"""A dataset that knows where everything is: white images with one coloured rectangle, and captions that mean harm."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from PIL import Image, ImageDraw

from fld_engine.engine.run.pipeline import Pipeline
from tests.roots import fake_config, run_pipeline

HOSTILE = (
    "<script>window.harmed = 1</script> a dog",
    '<img src=x onerror="window.harmed = 2"> a cat',
    "</script><script>window.harmed = 3</script> a bird",
    "{{ 7 * 7 }} ${window.harmed = 4} <b>bold</b> & “quoted” 'single' \u2028 line",
    "<svg onload=window.harmed=5> javascript:window.harmed=6 a horse",
    "<!-- <a href='https://example.invalid/'>out</a> --> a plane",
)
WH = (800, 600)
BOX = (200, 150, 600, 450)
"""The red rectangle, and the human box on it: x1 y1 x2 y2."""
RED = (220, 20, 20)


def write_source(folder: Path, num: int = 6) -> Path:
    """A COCO json with `num` images; image i has hostile caption i, and a class name that is markup too."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for i in range(num):
        image = Image.new("RGB", WH, "white")
        draw = ImageDraw.Draw(image)
        draw.rectangle((BOX[0], BOX[1], BOX[2] - 1, BOX[3] - 1), fill=RED)
        draw.rectangle((0, 590, 5 + i, 599), fill=(0, 0, 20 * i))  # so that no two have the same bytes
        image.save(folder / f"{i}.png")
        images.append({"id": i + 1, "file_name": f"{i}.png", "width": WH[0], "height": WH[1]})
        box = [BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]
        annotations.append({"id": 100 + i, "image_id": i + 1, "category_id": 1, "bbox": box, "iscrowd": 0})
        annotations.append({"id": 200 + i, "image_id": i + 1, "caption": HOSTILE[i % len(HOSTILE)]})
    categories = [{"id": 1, "name": "<i onclick=window.harmed=7>box</i>"}]
    coco = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / "annotations.json"
    path.write_text(json.dumps(coco), encoding="utf-8")
    return path


def copied(pipeline: Pipeline, folder: Path) -> Path:
    """A root that may be changed: a copy of this one, with its config in it."""
    shutil.copytree(pipeline.store.path(""), folder / "root")
    return folder / "root"


def synthetic_root(folder: Path, num: int = 6) -> Pipeline:
    """A whole pipeline over `write_source`: human boxes and captions, two fake detectors, and a real parser."""
    source = write_source(folder / "source", num)
    config = fake_config(
        source,
        sources=[{"url": str(source), "name": "made", "kind": "coco"}],
        annotators={"parser": {"use": "spacy-parser"}},
    )
    return run_pipeline(folder / "root", config)
