"""A small root of plain shapes to refine: fake labels, the truth of some images as gold, and a few detailed texts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.refinement.scenes import Scene
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Pipeline
from tests.refinement.tiny import IMAGE_PX, scenes
from tests.roots import fake_config, run_pipeline

NUM, NUM_GOLD, NUM_TOLD = 40, 36, 12
REFINE = {
    "student": {"preset": "tiny"},
    "training": {"num_steps": 8, "batch_images": 4, "warmup_steps": 2, "checkpoint_steps": 4, "log_steps": 4},
    "rules": {"gate": {"min_images": 3}},
    "max_answer_tokens": 24,
}
SMALL_SET = {"detailed": "A circle and a square.", "more_detailed": "A plain ground with some shapes."}
"""What people said of the first `NUM_TOLD` images that are not gold, the same of each. Gold has no longer texts."""

Told = Sequence[tuple[int, str, str]]
"""Image, granularity and text of captions."""


def write_root(folder: Path) -> RunConfig:
    """Run the pipeline into `folder/root`."""
    plain, gold = scenes(NUM, seed=1), scenes(NUM_GOLD, seed=2)
    for name, drawn in (("plain", plain), ("gold", gold)):
        (folder / name).mkdir()
        for i, scene in enumerate(drawn):
            Image.fromarray(scene.pixels).save(folder / name / f"{i:03d}.png")
    told = [(i, granularity, text) for i in range(NUM_TOLD) for granularity, text in SMALL_SET.items()]
    (folder / "texts.json").write_text(json.dumps(coco(plain, told, boxes=False)))
    truth = [(i, "detailed", scene.caption) for i, scene in enumerate(gold)]
    (folder / "gold" / "gold.json").write_text(json.dumps(coco(gold, truth)))
    config = fake_config(
        folder / "plain",
        sources=[
            {"url": str(folder / "plain"), "name": "plain", "kind": "folder", "class_folders": False},
            {"url": str(folder / "gold" / "gold.json"), "name": "gold", "kind": "coco", "gold": True},
            {"url": str(folder / "texts.json"), "name": "texts", "kind": "coco", "images_url": str(folder / "plain")},
        ],
        partitions={"max_images": 32},
        refine=REFINE,
    )
    run_pipeline(folder / "root", config)
    return config


def coco(drawn: Sequence[Scene], told: Told = (), *, boxes: bool = True) -> dict[str, Any]:
    names = sorted({thing.label for scene in drawn for thing in scene.things})
    rows: list[dict[str, Any]] = []
    for i, scene in enumerate(drawn if boxes else ()):
        for thing in scene.things:
            x1, y1, x2, y2 = thing.box_xyxy
            box = [x1, y1, x2 - x1, y2 - y1]
            rows.append({
                "image_id": i, "category_id": names.index(thing.label) + 1, "bbox": box, "area": box[2] * box[3],
                "iscrowd": 0, "segmentation": [[x1, y1, x2, y1, x2, y2]],
            })  # fmt: skip
    rows += [{"image_id": i, "granularity": granularity, "caption": text} for i, granularity, text in told]
    images = [{"id": i, "file_name": f"{i:03d}.png", "width": IMAGE_PX, "height": IMAGE_PX} for i in range(len(drawn))]
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    annotations = [{"id": i + 1, **row} for i, row in enumerate(rows)]
    return {"images": images, "annotations": annotations, "categories": categories}


def opened(root: Path, config: RunConfig) -> Pipeline:
    return Pipeline(Store(str(root)), config)


def digests(folder: Path) -> dict[str, str]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
