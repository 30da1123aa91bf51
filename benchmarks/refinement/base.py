"""The base checkpoint that every student of the benchmark starts from: taught on scenes of its own, then cached."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.refinement.labels import labelled, true_labels
from benchmarks.refinement.scenes import Scene, World
from engine.hashing import canonical_json
from engine.store import Store
from refinement.checkpoints import Checkpoints
from refinement.dataset import training_set
from refinement.examples import Phase, corpus
from refinement.student import Student, StudentConfig, load_student, open_student
from refinement.training import Progress, TrainingConfig, train

NAMES_FIRST = {
    "<CAPTION>": 1.0,
    "<REGION_TO_CATEGORY>": 1.0,
    "<OD>": 0.0,
    "<REGION_PROPOSAL>": 0.0,
    "<OPEN_VOCABULARY_DETECTION>": 0.0,
    "<DENSE_REGION_CAPTION>": 0.0,
    "<REGION_TO_DESCRIPTION>": 0.0,
}
EVERYTHING = {
    "<CAPTION>": 0.5,
    "<REGION_TO_CATEGORY>": 0.7,
    "<OD>": 3.0,
    "<REGION_PROPOSAL>": 1.0,
    "<OPEN_VOCABULARY_DETECTION>": 0.5,
    "<DENSE_REGION_CAPTION>": 0.0,
    "<REGION_TO_DESCRIPTION>": 0.0,
}
"""Descriptions of regions are their names again in these scenes, and would only take time."""

SCENE_SEED = 7_000_000
"""Of the base's scenes; the seeds of the benchmark's own scenes stay below it."""


@dataclass(frozen=True, slots=True)
class BasePlan:
    """How the base is taught, in which `world`. Anything changed here makes another base."""

    world: str = "plain"
    max_things: int = 3
    num_scenes: int = 6000
    num_steps: int = 3000
    batch_images: int = 16
    learning_rate: float = 6e-4

    def training(self, seed: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=self.num_steps,
            batch_images=self.batch_images,
            targets_per_image=3,
            learning_rate=self.learning_rate,
            warmup_steps=40,
            checkpoint_steps=250,
            log_steps=50,
            seed=seed,
            task_weights=EVERYTHING,
            curriculum=(
                Phase(from_share=0.0, max_regions=1, task_weights=NAMES_FIRST),
                Phase(from_share=0.1, max_regions=1),
                Phase(from_share=0.6, max_regions=self.max_things),
            ),
        )


def base_checkpoint(
    cache: Path, plan: BasePlan, world: World, *, seed: int, report: Callable[[Progress], None] | None = None
) -> tuple[Path, float]:
    """Folder of the base, and the seconds it took to make: 0 where it was cached. Goes on where it was interrupted."""
    described = canonical_json({"plan": repr(plan), "training": plan.training(seed).model_dump(mode="json")})
    name = hashlib.sha256(described.encode()).hexdigest()[:16]
    folder = cache / name
    done = folder / "student"
    if (done / "processor_config.json").exists():
        return done, 0.0
    began = time.monotonic()
    scenes = _scenes(plan, world, seed)
    truth = [true_labels(scene, str(i)) for i, scene in enumerate(scenes)]
    images = [labelled(labels, str(i), world.image_px, "", world.names) for i, labels in enumerate(truth)]
    data = training_set(images, lambda image_id: scenes[int(image_id)].pixels)
    student = open_student(StudentConfig(preset="small", seed=seed), folder / "scratch", corpus(data.images))
    checkpoints = Checkpoints(Store(str(folder)), "training", name)
    train(student, data, plan.training(seed), checkpoints=checkpoints, report=report)
    student.save(done)
    return done, time.monotonic() - began


def open_base(folder: Path) -> Student:
    """A student with the base's weights; one after another, they do not share them."""
    return load_student(str(folder))


def _scenes(plan: BasePlan, world: World, seed: int) -> list[Scene]:
    """Half of them of one thing, for the beginning; the others of up to `max_things`."""
    rng = np.random.default_rng([SCENE_SEED, seed])
    numbers = (1 if i % 2 else 1 + (i // 2) % plan.max_things for i in range(plan.num_scenes))
    return [world.draw(rng, number) for number in numbers]
