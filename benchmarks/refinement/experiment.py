"""One experiment: noisy labels in a root, `fld run` and `fld refine` on it, and accounts of every round."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.refinement.accounting import RoundAccount, account, label_counts
from benchmarks.refinement.base import EVERYTHING, open_base
from benchmarks.refinement.labels import ImageLabels, boxes_of, true_labels, unlabelled
from benchmarks.refinement.noise import NoiseRates, NoisyLabels, inject
from benchmarks.refinement.predict import detect
from benchmarks.refinement.root import RootRounds, Sources, write_sources
from benchmarks.refinement.scenes import Scene, World
from benchmarks.refinement.targets import training_set
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.refinement.gate.metrics_boxes import Counts, count_matches
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.merge.image import merge_image
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.refinement.student.kept_student import keep_student
from fld_engine.refinement.student.model import Student
from fld_engine.refinement.training.settings import TrainingConfig
from fld_engine.refinement.training.train import train

REPOSITORY = Path(__file__).parents[2]
COMMAND_LIMIT_S = 3 * 3600.0
"""After which a command is given up."""
TAKE_EVERYTHING = MergeRules(admit_precision=0, drop_below=0, relabel_margin=0, settled_iou=1)
"""Whatever the student says is taken over, whatever its probability: the control without a filter."""


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """How much is labelled, how wrong, and how long each student learns."""

    num_images: int = 400
    num_gold: int = 240
    num_test: int = 100
    max_things: int = 2
    rates: NoiseRates = field(default_factory=NoiseRates)
    num_rounds: int = 2
    num_steps: int = 200
    learning_rate: float = 3e-4

    def training(self, seed: int) -> TrainingConfig:
        return TrainingConfig(
            num_steps=self.num_steps,
            learning_rate=self.learning_rate,
            warmup_steps=20,
            task_weights=EVERYTHING,
            seed=seed,
        )

    def refine(self, base: Path, seed: int) -> dict[str, Any]:
        """Key `refine` of the config: two workers train, as there are two cores."""
        return {
            "student": {"base": str(base)},
            "training": self.training(seed).model_dump(mode="json", exclude={"curriculum"}),
            "trainer": {"num_workers": 2},
            "annotator": {"cpus": 1, "memory_mb": 2000},
            "max_answer_tokens": 48,
        }


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accounts of the labels before (`rounds[0]`) and after each round, and the records that the loop left.

    `students` is the detection F1, on scenes nobody has seen, of a fresh student that was trained for a fixed budget on
    the first and on the last labels.
    """

    rounds: tuple[RoundAccount, ...]
    records: tuple[RoundRecord, ...]
    students: tuple[float, float]
    seconds: float


class Experiment:
    """A dataset with exact truth, spoiled at known rates. Gold images are drawn alike and never trained on."""

    def __init__(self, plan: ExperimentPlan, world: World, base: Path, folder: Path, *, seed: int) -> None:
        self._plan, self._world, self._base, self._folder, self._seed = plan, world, base, folder, seed
        rng = np.random.default_rng([1, seed])
        self._scenes = [self._draw(rng, i) for i in range(plan.num_images + plan.num_gold)]
        self._truth = [true_labels(scene, str(i)) for i, scene in enumerate(self._scenes)]
        self._noisy = inject(self._truth, plan.rates, world, seed=seed)
        self._sources = write_sources(
            folder / "sources",
            self._scenes,
            self._noisy.labels,
            num_gold=plan.num_gold,
            seed=seed,
            refine=plan.refine(base, seed),
        )
        self._number = {identity: i for i, identity in enumerate(self._sources.ids)}

    @property
    def root(self) -> Path:
        return self._folder / "root"

    def run(self) -> Outcome:
        """The whole pipeline, then rounds until they are done or the gate refuses everything."""
        began = time.monotonic()
        _fld(self._sources, "run", str(self._sources.config), "--root", str(self.root))
        _fld(self._sources, "refine", str(self.root), "--rounds", str(self._plan.num_rounds))
        rounds = RootRounds(self.root)
        accounts = [self._account(rounds.images(number), rounds.images(0)) for number in rounds.numbers]
        first, last = (rounds.images(number) for number in (rounds.numbers[0], rounds.numbers[-1]))
        students = self._worth(first), self._worth(last)
        records = tuple(rounds.record(number) for number in rounds.numbers)
        return Outcome(tuple(accounts), records, students, time.monotonic() - began)

    # ----------------------------------------------------------------------------------------------- controls

    def without_filter(self) -> dict[str, float]:
        """Label F1 after round 1 if its students had been believed in everything, and if they had replaced all."""
        rounds = RootRounds(self.root)
        images, judged, calibrations = rounds.judged(1)
        taken = {i: merge_image(image, judged[i], calibrations, TAKE_EVERYTHING).image for i, image in images.items()}
        replaced = {i: replace(image, regions=judged[i].seen) for i, image in images.items()}
        return {"no_filter": self._f1(taken), "replaced": self._f1(replaced)}

    def in_sample(self) -> RoundAccount:
        """One round in the paper's way: one student, trained on what it labels."""
        root = self._copy("in-sample")
        _fld(self._sources, "refine", str(root), "--rounds", "1", "--set", "refine.rules.in_sample=true")
        rounds = RootRounds(root)
        return self._account(rounds.images(rounds.numbers[-1]), rounds.images(0))

    def sabotaged(self) -> bool:
        """Whether students that were taught shuffled labels are refused, and leave the very same files."""
        root = self._copy("sabotaged")
        images = [image for image in RootRounds(self.root).images(0).values() if not image.gold_split]
        store = Store(str(root))
        for fold in (0, 1):  # students that do not say what they were made of are believed, and not trained again
            student = self._taught(_shuffled(images, self._seed + fold), seed=fold)
            keep_student(student, store, f"rounds/001/students/{fold}", made_of=None)
        _fld(self._sources, "refine", str(root), "--rounds", "1")
        before, after = (RootRounds(root).record(number) for number in (0, 1))
        files = [[(p.standing, p.unseen) for p in record.partitions] for record in (before, after)]
        return not any(gate.accepted for gate in after.gates) and files[0] == files[1]

    def _copy(self, name: str) -> Path:
        """The root as it was before it was refined."""
        copied = self._folder / name
        shutil.copytree(self.root, copied, ignore=shutil.ignore_patterns("rounds", "student-*"))
        return copied

    # ------------------------------------------------------------------------------------------------ accounts

    def _draw(self, rng: np.random.Generator, i: int) -> Scene:
        return self._world.draw(rng, 1 + i % self._plan.max_things)

    def _account(self, images: Mapping[str, LabelledImage], first: Mapping[str, LabelledImage]) -> RoundAccount:
        """Of the images that are labelled for training; gold is not what the labels are for."""
        number = self._plan.num_images
        noisy = _with_ids_of(self._noisy, self._in_order(first)[:number])
        return account(noisy, self._in_order(images)[:number], self._truth[:number])

    def _f1(self, images: Mapping[str, LabelledImage]) -> float:
        number = self._plan.num_images
        return label_counts(self._in_order(images)[:number], self._truth[:number]).f1

    def _in_order(self, images: Mapping[str, LabelledImage]) -> list[ImageLabels]:
        """Labels of all scenes, in their order. Raises `KeyError` where the root has lost one."""
        return [unlabelled(images[identity]) for identity in self._sources.ids]

    # ----------------------------------------------------------------------------------------------- students

    def _taught(self, images: Sequence[LabelledImage], seed: int) -> Student:
        """A fresh student from the base, trained on these labels for the plan's budget."""
        student = open_base(self._base)
        train(student, training_set(images, self._pixels), self._plan.training(seed))
        return student

    def _pixels(self, identity: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return self._scenes[self._number[identity]].pixels

    def _worth(self, images: Mapping[str, LabelledImage]) -> float:
        """F1 on scenes nobody has seen, of a student that was taught these labels."""
        student = self._taught([image for image in images.values() if not image.gold_split], seed=5)
        rng = np.random.default_rng([2, self._seed])
        test = [self._draw(rng, i) for i in range(self._plan.num_test)]
        found = detect(student, [scene.pixels for scene in test])
        truth = [boxes_of(true_labels(scene, "")) for scene in test]
        return sum((count_matches(a, b, min_iou=0.5) for a, b in zip(found, truth, strict=True)), Counts()).f1


def _fld(sources: Sources, *arguments: str) -> None:
    """Run a command of the product, with the benchmark's specialist installed beside it."""
    path = os.pathsep.join([str(REPOSITORY), str(sources.folder), os.environ.get("PYTHONPATH", "")])
    command = [str(Path(sys.executable).with_name("fld")), *arguments]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path.rstrip(os.pathsep)},
        capture_output=True,
        text=True,
        timeout=COMMAND_LIMIT_S,
    )
    if done.returncode:
        raise RuntimeError(f"`fld {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")


def _with_ids_of(noisy: NoisyLabels, before: Sequence[ImageLabels]) -> NoisyLabels:
    """The noisy labels under the ids of the root. Raises `ValueError` where it holds other labels."""
    given: dict[str, str] = {}
    labels = []
    for spoiled, stored in zip(noisy.labels, before, strict=False):
        for a, b in zip(spoiled.regions, stored.regions, strict=True):
            if (a.label, a.box_xyxy) != (b.label, b.box_xyxy):
                raise ValueError(f"the root holds {b} where the specialist said {a}")
            given[a.id] = b.id
        labels.append(replace(spoiled, regions=stored.regions))
    errors = tuple(
        replace(error, label_id=given.get(error.label_id, error.label_id))
        for error in noisy.injected
        if error.image < len(labels)
    )
    return NoisyLabels(tuple(labels), errors)


def _shuffled(images: Sequence[LabelledImage], seed: int) -> list[LabelledImage]:
    """Every image with the labels of another one."""
    order = np.random.default_rng([3, seed]).permutation(len(images))
    return [
        replace(image, regions=images[other].regions, texts=images[other].texts)
        for image, other in zip(images, order.tolist(), strict=True)
    ]
