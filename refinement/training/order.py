"""Which images a step of a training sees, and which of their targets.

Both are pure functions of seed and step: nothing needs to be stored to continue them but the number of steps done.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from fld_engine.refinement.training.examples import TrainingImage
from fld_engine.refinement.training.settings import Phase
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.sample import TargetEntry
from fld_engine.schemas.tasks import Task


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
        """Task weights of the phase of a step."""
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
