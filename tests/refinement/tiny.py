"""A student of a hundred thousand weights and a handful of images to train it on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.refinement.labels import labelled, true_labels
from benchmarks.refinement.scenes import LABELS, PlainWorld, Scene
from benchmarks.refinement.targets import targets_of
from fld_engine.refinement.student.model import Student, open_student
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.refinement.training.examples import HeldImages, TrainingImage, corpus

IMAGE_PX = 32
TAUGHT = ("<CAPTION>", "<OD>", "<REGION_TO_CATEGORY>")


def scenes(number: int, *, seed: int = 0, num_things: int = 2) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [PlainWorld(IMAGE_PX).draw(rng, 1 + i % num_things) for i in range(number)]


def training_image(scene: Scene, identity: str) -> TrainingImage:
    """What a scene can teach: its caption, its boxes, and the name of each."""
    every = targets_of(labelled(true_labels(scene, identity), identity, IMAGE_PX))
    targets = tuple(target for target in every.targets if target.task in TAUGHT)
    return TrainingImage(identity, every.num_regions, targets)


def training_set(number: int, *, seed: int = 0) -> HeldImages:
    drawn = scenes(number, seed=seed)
    images = [training_image(scene, f"image {i}") for i, scene in enumerate(drawn)]
    return HeldImages(images, [scene.pixels for scene in drawn])


def student(folder: Path, *, seed: int = 0) -> Student:
    """An untrained student, made in `folder` or opened again there. One thread: more of them would only wait."""
    import torch

    torch.set_num_threads(1)
    words = [*corpus(training_set(4).images), *LABELS]
    return open_student(StudentConfig(preset="tiny", seed=seed), folder, words)
