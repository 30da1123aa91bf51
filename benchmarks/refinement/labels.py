"""Labels of a scene, as the accounts and as the loop hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.refinement.scenes import LABELS, Box, Scene
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.gold import GoldSplit
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel, named_things


@dataclass(frozen=True, slots=True)
class Named:
    """One label: an id that stays with it, a name and a box in pixels."""

    id: str
    label: str
    box_xyxy: Box


@dataclass(frozen=True, slots=True)
class ImageLabels:
    """What is said about one image."""

    regions: tuple[Named, ...]
    caption: str


def true_labels(scene: Scene, identity: str) -> ImageLabels:
    """The truth about a scene, as labels."""
    regions = (Named(f"{identity}/{i}", t.label, t.box_xyxy) for i, t in enumerate(scene.things))
    return ImageLabels(tuple(regions), scene.caption)


def boxes_of(labels: ImageLabels) -> Boxes:
    """Labels as the metrics want them."""
    xyxy = np.array([region.box_xyxy for region in labels.regions], dtype=np.float64).reshape(-1, 4)
    return Boxes(xyxy, [region.label for region in labels.regions])


def labelled(
    labels: ImageLabels, identity: str, image_px: int, gold_split: GoldSplit = "", names: Sequence[str] = LABELS
) -> LabelledImage:
    """Labels as the loop takes them."""
    regions = (RegionLabel(r.id, r.box_xyxy, r.label, p=1.0, p_label=1.0) for r in labels.regions)
    named = named_things(labels.caption, names)
    text = TextLabel(f"{identity}/caption", "brief", labels.caption, named, p=1.0)
    return LabelledImage(identity, identity, (image_px, image_px), tuple(regions), (text,), gold_split)


def unlabelled(image: LabelledImage) -> ImageLabels:
    """Labels as the accounts take them."""
    regions = (Named(region.id, region.label, region.box_xyxy) for region in image.regions)
    return ImageLabels(tuple(regions), image.texts[0].text if image.texts else "")
