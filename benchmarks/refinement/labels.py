"""Labels of a scene as the loop holds them, and what a student can be taught from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.refinement.scenes import Box, Scene
from refinement.examples import HeldImages, TrainingImage
from refinement.metrics_boxes import Boxes
from schemas.sample import TargetEntry
from schemas.target_language import Instance, location_tokens, write_answer, write_prompt
from schemas.tasks import Task


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


def teach(labels: ImageLabels, identity: str, image_wh: tuple[int, int]) -> TrainingImage:
    """The training targets of one image: its caption, its boxes with names, without names, and each name."""
    targets = []

    def say(task: Task, target: str, input_: str = "") -> None:
        if target:
            targets.append(
                TargetEntry(task=task, prompt=write_prompt(task, input_), target=target, annotation_ids=())
            )

    say("<CAPTION>", labels.caption)
    for task in ("<OD>", "<REGION_PROPOSAL>"):
        things = [Instance(region.label, (region.box_xyxy,)) for region in labels.regions]
        say(task, write_answer(task, things, image_wh).target)
    for region in labels.regions:
        say("<REGION_TO_CATEGORY>", region.label, location_tokens(region.box_xyxy, image_wh))
    return TrainingImage(identity, len(labels.regions), tuple(targets))


def training_set(scenes: Sequence[Scene], labels: Sequence[ImageLabels]) -> HeldImages:
    """Scenes with what is said about them, true or not."""
    images = [
        teach(said, f"{i:06d}", (scene.pixels.shape[1], scene.pixels.shape[0]))
        for i, (scene, said) in enumerate(zip(scenes, labels, strict=True))
    ]
    return HeldImages(images, [scene.pixels for scene in scenes])
