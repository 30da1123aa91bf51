"""Scenes as a dataset root: files as a user would bring them, and labels of rounds as the accounts take them."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import count, takewhile
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from benchmarks.refinement.labels import ImageLabels
from benchmarks.refinement.scenes import Scene
from fld_engine.engine.data.hashing import image_id, sha256_hex
from fld_engine.engine.plan.rounds import RoundRecord, has_round, read_round
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.flows.root import existing_root
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.loop.details import round_details
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.merge.calibration import Calibration

PLUG_IN = "fld_benchmark-0.dist-info"
"""Metadata of an installed package: how an annotator of one's own is made known."""


@dataclass(frozen=True, slots=True)
class Sources:
    """The folder of a benchmark's sources. `ids` are the image ids of the scenes, in their order."""

    folder: Path
    ids: tuple[str, ...]

    @property
    def config(self) -> Path:
        return self.folder / "config.yaml"


def write_sources(
    folder: Path,
    scenes: Sequence[Scene],
    noisy: Sequence[ImageLabels],
    *,
    num_gold: int,
    seed: int,
    refine: Mapping[str, Any],
) -> Sources:
    """Write images, the truth of the last `num_gold` as COCO json, the noisy labels of all, and a config."""
    first_gold = len(scenes) - num_gold
    ids = []
    for i, scene in enumerate(scenes):
        data = _png(scene)
        ids.append(image_id(sha256_hex(data)))
        path = folder / ("images" if i < first_gold else "gold") / f"{i:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "gold/gold.json").write_text(json.dumps(_coco(scenes, first_gold)))
    said = {identity: _said(labels) for identity, labels in zip(ids, noisy, strict=True)}
    labels = folder / "labels.json"
    labels.write_text(json.dumps(said))
    _install_specialist(folder)
    params = {"labels": str(labels), "sha256": hashlib.sha256(labels.read_bytes()).hexdigest()}
    config = {
        "name": "refinement-benchmark",
        "seed": seed,
        "sources": [
            {"url": str(folder / "images"), "name": "scenes", "kind": "folder", "class_folders": False},
            {"url": str(folder / "gold/gold.json"), "name": "gold", "kind": "coco", "gold": True},
        ],
        "partitions": {"max_images": 64},
        "annotators": {"specialist": {"use": "noisy-specialist", "params": params}},
        "runner": {"kind": "ray"},
        "refine": dict(refine),
    }
    sources = Sources(folder, tuple(ids))
    sources.config.write_text(yaml.safe_dump(config, sort_keys=False))
    return sources


def _install_specialist(folder: Path) -> None:
    """Make the benchmark's annotator known to what has `folder` on its path, this process too."""
    (folder / PLUG_IN).mkdir()
    (folder / PLUG_IN / "METADATA").write_text("Metadata-Version: 2.1\nName: fld-benchmark\nVersion: 0\n")
    (folder / PLUG_IN / "entry_points.txt").write_text(
        "[fld_engine.annotators]\nnoisy-specialist = benchmarks.refinement.specialist:NoisySpecialist\n"
    )
    sys.path.append(str(folder))


class RootRounds:
    """The rounds of a root, read as the loop reads them."""

    def __init__(self, root: Path) -> None:
        self._store, config = existing_root(str(root), None)
        self._loop = Loop(Pipeline(self._store, config), config.section("refine", RefineConfig))

    @property
    def numbers(self) -> list[int]:
        """Of the rounds that are finished, from 0 on."""
        return list(takewhile(partial(has_round, self._store), count()))

    def record(self, number: int) -> RoundRecord:
        return read_round(self._store, number)

    def images(self, number: int) -> dict[str, LabelledImage]:
        """Image id → its labels after a round."""
        partitions = self.record(number).partitions
        return {image.id: image for partition in partitions for image in self._loop.files.images(partition)}

    def judged(self, number: int) -> tuple[dict[str, LabelledImage], dict[str, Judgement], list[Calibration]]:
        """What a round began with, what its students thought, and the curves that were fitted."""
        before, record = self.record(number - 1), self.record(number)
        partitions = list(self._loop.judged(before, self._loop.plan_of_students(number, before)))
        images = {image.id: image for partition in partitions for image in partition.images}
        judged = {identity: one for partition in partitions for identity, one in partition.judged.items()}
        return images, judged, list(round_details(record).calibrations)


def _png(scene: Scene) -> bytes:
    out = io.BytesIO()
    Image.fromarray(scene.pixels).save(out, "PNG")
    return out.getvalue()


def _said(labels: ImageLabels) -> dict[str, Any]:
    regions = [{"box": list(region.box_xyxy), "label": region.label} for region in labels.regions]
    return {"caption": labels.caption, "regions": regions}


def _coco(scenes: Sequence[Scene], first_gold: int) -> dict[str, Any]:
    names = sorted({thing.label for scene in scenes for thing in scene.things})
    images, rows = [], []
    for i, scene in enumerate(scenes[first_gold:], start=first_gold):
        height, width = scene.pixels.shape[:2]
        images.append({"id": i, "file_name": f"{i:05d}.png", "width": width, "height": height})
        rows.append({"id": len(rows) + 1, "image_id": i, "caption": scene.caption})
        for thing in scene.things:
            x1, y1, x2, y2 = thing.box_xyxy
            box = [x1, y1, x2 - x1, y2 - y1]
            category = names.index(thing.label) + 1
            area = box[2] * box[3]
            rows.append(
                {"id": len(rows) + 1, "image_id": i, "category_id": category, "bbox": box, "area": area, "iscrowd": 0}
            )
    categories = [{"id": i + 1, "name": name} for i, name in enumerate(names)]
    return {"images": images, "annotations": rows, "categories": categories}
