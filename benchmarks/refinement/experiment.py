"""One experiment: noisy labels in, rounds of refinement, accounts out. A control is the same loop with one change."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from benchmarks.refinement.accounting import RoundAccount, account
from benchmarks.refinement.base import EVERYTHING, open_base
from benchmarks.refinement.labels import boxes_of, labelled, true_labels, unlabelled
from benchmarks.refinement.noise import NoiseRates, inject
from benchmarks.refinement.predict import detect
from benchmarks.refinement.scenes import Scene, World
from refinement.dataset import Gold, LabelledImage, gold_split_of, training_set
from refinement.gate import GateDecision
from refinement.judging import Judgement, judge_all
from refinement.metrics_boxes import Counts, count_matches
from refinement.round import RoundRules, run_round
from refinement.student import Student
from refinement.training import TrainingConfig, train

Control = Literal["none", "in_sample", "sabotaged"]


@dataclass(frozen=True, slots=True)
class ExperimentPlan:
    """How much is labelled, how wrong, and how long each student learns."""

    num_images: int = 400
    num_gold: int = 240
    num_test: int = 100
    max_things: int = 3
    rates: NoiseRates = field(default_factory=NoiseRates)
    num_rounds: int = 2
    num_steps: int = 200
    learning_rate: float = 3e-4
    control: Control = "none"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Accounts of the labels before (`rounds[0]`) and after each round, decisions, and what the labels are worth.

    `students` is the detection F1 of a fresh student, trained for a fixed budget on the first and on the last labels.
    """

    rounds: tuple[RoundAccount, ...]
    gates: tuple[tuple[GateDecision, ...], ...]
    students: tuple[float, float]
    unchanged: bool
    seconds: float


class Experiment:
    """A dataset with exact truth, spoiled at known rates. Gold images are drawn alike and never trained on."""

    def __init__(self, plan: ExperimentPlan, world: World, base: Path, *, seed: int) -> None:
        self._plan, self._world, self._base, self._seed = plan, world, base, seed
        total = plan.num_images + plan.num_gold
        rng = np.random.default_rng([1, seed])
        self._scenes = [self._draw(rng, i) for i in range(total)]
        self._truth = [true_labels(scene, str(i)) for i, scene in enumerate(self._scenes)]
        self._noisy = inject(self._truth, plan.rates, world.names, world.image_px, seed=seed)
        test = np.random.default_rng([2, seed])
        self._test = [self._draw(test, i) for i in range(plan.num_test)]

    def run(self) -> Outcome:
        """All rounds, until the gate refuses everything."""
        began = time.monotonic()
        plan, images = self._plan, self._first_labels()
        start = images
        rules = RoundRules(in_sample=plan.control == "in_sample")
        accounts, gates = [self._account(images)], []
        for round_ in range(1, plan.num_rounds + 1):
            result = run_round(images, self._gold(), self._judge_fold(round_), rules, round_=round_, seed=self._seed)
            images = list(result.images)
            gates.append(result.gates)
            accounts.append(self._account(images))
            if not result.improved:
                break
        students = (self._worth(start), self._worth(images))
        return Outcome(tuple(accounts), tuple(gates), students, images == start, time.monotonic() - began)

    # ------------------------------------------------------------------------------------------------ dataset

    def _draw(self, rng: np.random.Generator, i: int) -> Scene:
        return self._world.draw(rng, 1 + i % self._plan.max_things)

    def _first_labels(self) -> list[LabelledImage]:
        first_gold = self._plan.num_images
        splits = [gold_split_of(str(i), self._seed) if i >= first_gold else "" for i in range(len(self._scenes))]
        pairs = enumerate(zip(self._noisy.labels, splits, strict=True))
        size, names = self._world.image_px, self._world.names
        return [labelled(labels, str(i), size, split, names) for i, (labels, split) in pairs]

    def _gold(self) -> dict[str, Gold]:
        rows = range(self._plan.num_images, len(self._scenes))
        return {str(i): Gold(boxes_of(self._truth[i]), (self._truth[i].caption,)) for i in rows}

    def _account(self, images: Sequence[LabelledImage]) -> RoundAccount:
        """Of the images that are labelled for training; gold is not what the labels are for."""
        number = self._plan.num_images
        spoiled = replace(
            self._noisy,
            labels=self._noisy.labels[:number],
            injected=tuple(error for error in self._noisy.injected if error.image < number),
        )
        return account(spoiled, [unlabelled(image) for image in images[:number]], self._truth[:number])

    # ----------------------------------------------------------------------------------------------- students

    def _pixels(self, image_id: str) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        return self._scenes[int(image_id)].pixels

    def _taught(self, images: Sequence[LabelledImage], seed: int) -> Student:
        """A fresh student from the base, trained on these labels for the plan's budget."""
        student = open_base(self._base)
        config = TrainingConfig(
            num_steps=self._plan.num_steps,
            learning_rate=self._plan.learning_rate,
            warmup_steps=20,
            task_weights=EVERYTHING,
            seed=seed,
        )
        train(student, training_set(images, self._pixels), config)
        return student

    def _judge_fold(self, round_: int):  # type: ignore[no-untyped-def]
        def judge(fold: int, taught: Sequence[LabelledImage], mine: Sequence[LabelledImage]) -> Mapping[str, Judgement]:
            lessons = _shuffled(taught, self._seed) if self._plan.control == "sabotaged" else taught
            student = self._taught(lessons, seed=1_000 * round_ + fold + 1)
            return judge_all(student, mine, self._pixels, self._world.names, round_=round_, max_tokens=48)

        return judge

    def _worth(self, images: Sequence[LabelledImage]) -> float:
        """F1 on scenes nobody has seen, of a student that was taught these labels."""
        student = self._taught([image for image in images if not image.gold_split], seed=5)
        found = detect(student, [scene.pixels for scene in self._test])
        truth = [boxes_of(true_labels(scene, "")) for scene in self._test]
        return sum((count_matches(a, b, min_iou=0.5) for a, b in zip(found, truth, strict=True)), Counts()).f1


def _shuffled(images: Sequence[LabelledImage], seed: int) -> list[LabelledImage]:
    """Every image with the labels of another one."""
    order = np.random.default_rng([3, seed]).permutation(len(images))
    return [
        replace(image, regions=images[other].regions, texts=images[other].texts)
        for image, other in zip(images, order.tolist(), strict=True)
    ]
