"""The base checkpoint that every student of the benchmark starts from: taught on scenes of its own, then cached."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.refinement.labels import labelled, true_labels
from benchmarks.refinement.scenes import World
from benchmarks.refinement.targets import training_set
from fld_engine.engine.data.hashing import fingerprint, sha256_hex
from fld_engine.engine.data.store import Store
from fld_engine.refinement.student.kept_student import WEIGHTS, read_kept
from fld_engine.refinement.student.model import Student, load_student, open_student
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.refinement.training.examples import TrainingSet, corpus
from fld_engine.refinement.training.progress import Report
from fld_engine.refinement.training.ray_trainer import TrainingJob, train_on_ray
from fld_engine.refinement.training.settings import Phase, TrainerResources, TrainingConfig

BASE = "student"
EVERYTHING = {
    "<CAPTION>": 0.5,
    "<REGION_TO_CATEGORY>": 1.0,
    "<OD>": 2.0,
    "<REGION_PROPOSAL>": 0.5,
    "<OPEN_VOCABULARY_DETECTION>": 0.0,
    "<DENSE_REGION_CAPTION>": 0.0,
    "<REGION_TO_DESCRIPTION>": 0.0,
}
"""Descriptions of regions are their names again in these scenes, and would only take time."""
NAMES_FIRST = {**dict.fromkeys(EVERYTHING, 0.0), "<REGION_TO_CATEGORY>": 1.0}
"""To look where a prompt points is what everything else is learned by."""

SCENE_SEED = 7_000_000
"""Of the base's scenes; the seeds of the benchmark's own scenes stay below it."""


@dataclass(frozen=True, slots=True)
class BasePlan:
    """How the base is taught. Anything changed here makes another base."""

    max_things: int = 2
    num_scenes: int = 6000
    num_steps: int = 2500
    batch_images: int = 16
    learning_rate: float = 8e-4
    seed: int = 0

    def training(self, *, from_nothing: bool) -> TrainingConfig:
        """A student from nothing needs a curriculum."""
        return TrainingConfig(
            num_steps=self.num_steps,
            batch_images=self.batch_images,
            targets_per_image=3,
            learning_rate=self.learning_rate,
            warmup_steps=40,
            checkpoint_steps=250,
            log_steps=50,
            seed=self.seed,
            task_weights=EVERYTHING,
            curriculum=self._curriculum() if from_nothing else (),
        )

    def _curriculum(self) -> tuple[Phase, ...]:
        return (
            Phase(from_share=0.0, max_regions=self.max_things, task_weights=NAMES_FIRST),
            Phase(from_share=0.12, max_regions=1),
            Phase(from_share=0.24, max_regions=self.max_things),
        )


@dataclass(frozen=True, slots=True)
class BaseScenes:
    """Scenes of the base with their true labels; any worker can draw them."""

    plan: BasePlan
    world: World

    def open(self) -> TrainingSet:
        """A third of them of one thing, for the beginning; the others of as many as there may be."""
        plan, world = self.plan, self.world
        rng = np.random.default_rng([SCENE_SEED, plan.seed])
        scenes = [world.draw(rng, 1 if i % 3 == 0 else plan.max_things) for i in range(plan.num_scenes)]
        truth = [true_labels(scene, str(i)) for i, scene in enumerate(scenes)]
        images = [labelled(labels, str(i), world.image_px, "", world.names) for i, labels in enumerate(truth)]
        return training_set(images, lambda image_id: scenes[int(image_id)].pixels)


def base_checkpoint(
    cache: Path, plan: BasePlan, world: World, *, begin: Path | None = None, report: Report = lambda progress: None
) -> tuple[Path, float]:
    """Folder of the base, and the seconds it took to make: 0 where it was cached. Goes on where it was interrupted.

    It begins with the base in folder `begin`, or from nothing. Two workers train it, as there are two cores.
    """
    training = plan.training(from_nothing=begin is None)
    described = {"plan": repr(plan), "world": repr(world), "training": training.model_dump(mode="json")}
    if begin:
        described["begin"] = sha256_hex((begin / WEIGHTS).read_bytes())
    name = fingerprint(described)
    folder = cache / name
    store = Store(str(folder))
    if read_kept(store, BASE):
        return folder / BASE, 0.0
    began = time.monotonic()
    data = BaseScenes(plan, world)
    if not begin:
        begin = folder / "scratch"
        open_student(StudentConfig(preset="small", seed=plan.seed), begin, corpus(data.open().images))
    job = TrainingJob(
        open_student=partial(load_student, str(begin)),
        open_data=data.open,
        config=training,
        store_url=str(folder),
        checkpoints="training",
        fingerprint=name,
        output=BASE,
    )
    train_on_ray(job, TrainerResources(num_workers=2), storage=str(folder / "ray"), report=report)
    return folder / BASE, time.monotonic() - began


def open_base(folder: Path) -> Student:
    """A student with the base's weights; one after another, they do not share them."""
    return load_student(str(folder))
