"""What a student is trained on: the targets of every image, and which of them it sees at which step.

The targets are those of the export (`engine.stages.export.targets`), so a student learns the language that the shards
speak. Order is a pure function of seed and step: nothing needs to be stored to continue it but the number of steps
done.
"""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.data.images import RGB
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError, unknown_name
from fld_engine.schemas.sample import Sample, TargetEntry
from fld_engine.schemas.tasks import TASKS, Task

DEFAULT_WEIGHTS: Mapping[Task, float] = {
    "<CAPTION>": 1.0,
    "<DETAILED_CAPTION>": 1.0,
    "<MORE_DETAILED_CAPTION>": 1.0,
    "<OD>": 3.0,
    "<DENSE_REGION_CAPTION>": 0.5,
    "<REGION_PROPOSAL>": 0.5,
    "<OCR>": 0.5,
    "<OCR_WITH_REGION>": 1.0,
    "<CAPTION_TO_PHRASE_GROUNDING>": 1.0,
    "<OPEN_VOCABULARY_DETECTION>": 0.5,
    "<REFERRING_EXPRESSION_SEGMENTATION>": 0.5,
    "<REGION_TO_SEGMENTATION>": 0.5,
    "<REGION_TO_CATEGORY>": 2.0,
    "<REGION_TO_DESCRIPTION>": 0.5,
    "<REGION_TO_OCR>": 0.5,
}
"""How often a task is drawn, relative to the others that an image has. The two that a round depends on come first:
detection annotates, region to category judges the labels there are. Ours; the paper gives no mixture."""


_TOKEN = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One image with everything that can be said about it. `num_regions` is what the curriculum goes by."""

    id: str
    num_regions: int
    targets: tuple[TargetEntry, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One training pair: the `image`-th of the batch, asked `prompt`, answers `target`."""

    image: int
    task: Task
    prompt: str
    target: str


class TrainingSet(Protocol):
    """Images with targets, the same in every worker."""

    @property
    def images(self) -> Sequence[TrainingImage]: ...

    def pixels(self, index: int) -> RGB:
        """The decoded image at a place of `images`."""
        ...


@dataclass(frozen=True, slots=True)
class HeldImages:
    """A training set that is held in memory: for small ones, and for tests."""

    images: Sequence[TrainingImage]
    arrays: Sequence[RGB]

    def pixels(self, index: int) -> RGB:
        return self.arrays[index]


class Phase(Frozen):
    """A part of the curriculum: from this share of the steps on, images of up to `max_regions` regions.

    `task_weights` stand over those of the training for this phase. To a student that cannot see yet, locations are
    noise, four tokens a box; it learns sooner what things are called if it is asked that first.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("from_share", "max_regions", "task_weights"))

    from_share: float = Field(ge=0, lt=1)
    max_regions: int = Field(gt=0)
    task_weights: Mapping[str, float] = Field(default_factory=dict)


def from_sample(sample: Sample) -> TrainingImage:
    return TrainingImage(sample.id, len(sample.regions), sample.targets)


def check_weights(weights: Mapping[str, float]) -> dict[Task, float]:
    """Task weights with the defaults under them. Raises `ConfigError` for unknown tasks and when nothing is left."""
    merged = dict(DEFAULT_WEIGHTS)
    for name, weight in weights.items():
        task = next((task for task in TASKS if task == name), None)
        if task is None:
            raise ConfigError(unknown_name("task", name, TASKS))
        if weight < 0:
            raise ConfigError(f"task weight of {name} is {weight}: expected 0, which leaves it out, or more")
        merged[task] = weight
    if not any(merged.values()):
        raise ConfigError("every task weight is 0: a student needs at least one task to learn")
    return merged


class Order:
    """Which images a step trains on. Each phase goes through its images epoch after epoch, every epoch anew shuffled.

    Raises `ConfigError` where a phase has no image, naming what the images have.
    """

    def __init__(
        self, images: Sequence[TrainingImage], phases: Sequence[Phase], *, num_steps: int, batch: int, seed: int
    ) -> None:
        self._batch, self._seed = batch, seed
        self._starts: list[int] = [0]
        self._phases: list[Phase] = []
        self._eligible: list[np.ndarray[tuple[int], np.dtype[np.int64]]] = []
        for phase in sorted(phases, key=lambda p: p.from_share):
            start = int(phase.from_share * num_steps)
            if self._phases and start == self._starts[-1]:
                continue  # too few steps for a phase of its own
            fits = [i for i, image in enumerate(images) if image.targets and image.num_regions <= phase.max_regions]
            self._add(start, fits, f"of up to {phase.max_regions} regions")
            self._phases.append(phase)
        if not self._eligible:
            self._add(0, [i for i, image in enumerate(images) if image.targets], "with a target")

    def _add(self, start: int, rows: list[int], what: str) -> None:
        if not rows:
            raise ConfigError(f"no image {what} to train on: keep more annotations, or change the curriculum")
        if self._eligible:
            self._starts.append(start)
        self._eligible.append(np.array(rows, dtype=np.int64))

    def batch(self, step: int) -> list[int]:
        """Rows of the images of a step; a small set may give an image twice."""
        phase = self.phase(step)
        rows = self._eligible[phase]
        first = (step - self._starts[phase]) * self._batch
        places = range(first, first + self._batch)
        return [int(rows[self._shuffled(phase, place // len(rows))[place % len(rows)]]) for place in places]

    def phase(self, step: int) -> int:
        """Number of the phase that a step belongs to, among those that have steps, by when they begin."""
        return bisect_right(self._starts, step) - 1

    def task_weights(self, step: int) -> Mapping[str, float]:
        """What the phase of a step says about tasks."""
        return self._phases[self.phase(step)].task_weights if self._phases else {}

    def _shuffled(self, phase: int, epoch: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        return np.random.default_rng([self._seed, phase, epoch]).permutation(len(self._eligible[phase]))


def draw_targets(
    image: TrainingImage, weights: Mapping[Task, float], number: int, *, seed: int, step: int
) -> list[TargetEntry]:
    """Up to `number` different targets of an image: a task by weight, then one of its targets evenly.

    A function of its arguments, whatever else is in the batch.
    """
    by_task: dict[Task, list[TargetEntry]] = {}
    for target in image.targets:
        if weights[target.task] > 0:
            by_task.setdefault(target.task, []).append(target)
    digest = hashlib.sha256(f"targets:{seed}:{step}:{image.id}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8]))
    drawn: list[TargetEntry] = []
    while by_task and len(drawn) < number:
        tasks = list(by_task)
        shares = np.array([weights[task] for task in tasks])
        task = tasks[int(rng.choice(len(tasks), p=shares / shares.sum()))]
        drawn.append(by_task[task].pop(int(rng.integers(len(by_task[task])))))
        if not by_task[task]:
            del by_task[task]
    return drawn


def corpus(images: Iterable[TrainingImage]) -> list[str]:
    """Every run of words a student will have to say, once each, sorted: what its tokenizer is trained on."""
    said = {words for image in images for target in image.targets for words in _TOKEN.split(target.target)}
    return sorted(words for words in said if words.strip())
