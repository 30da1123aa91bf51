"""Losses and tokens of a training, added up over steps and workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from fld_engine.refinement.student.encoding import IGNORED
from fld_engine.refinement.training.examples import Example
from fld_engine.refinement.training.progress import Progress
from fld_engine.schemas.tasks import Task


@dataclass(frozen=True, slots=True)
class Place:
    """Which worker this is, and how many there are."""

    rank: int = 0
    size: int = 1


class Meter:
    """Sums of loss and tokens by task since the last report."""

    def __init__(self) -> None:
        self._sums: dict[Task, list[float]] = {}

    def add(self, examples: Sequence[Example], losses: torch.Tensor, labels: torch.Tensor) -> None:
        by_row = losses.sum(dim=1).tolist()
        tokens = (labels != IGNORED).sum(dim=1).tolist()
        for example, loss, count in zip(examples, by_row, tokens, strict=True):
            sums = self._sums.setdefault(example.task, [0.0, 0.0])
            sums[0] += loss
            sums[1] += count

    def report(self, step: int, rate: float, place: Place) -> Progress:
        """Means over all workers, and start anew."""
        everyone = [self._sums]
        if place.size > 1:
            gathered: list[Any] = [None] * place.size
            distributed.all_gather_object(gathered, self._sums)
            everyone = gathered
        total: dict[Task, list[float]] = {}
        for sums in everyone:
            for task, (loss, count) in sums.items():
                row = total.setdefault(task, [0.0, 0.0])
                row[0] += loss
                row[1] += count
        self._sums = {}
        loss, count = (sum(row[i] for row in total.values()) for i in (0, 1))
        return Progress(
            step=step,
            loss=loss / max(count, 1.0),
            by_task={task: row[0] / max(row[1], 1.0) for task, row in sorted(total.items())},
            learning_rate=rate,
        )


def sum_over_workers(value: float, place: Place, device: str = "cpu") -> float:
    """The sum of every worker's value. NCCL adds up what is on a GPU alone, so the sum is made on the `device`."""
    if place.size == 1:
        return value
    total = torch.tensor([value], dtype=torch.float64, device=device)
    distributed.all_reduce(total)
    return float(total.item())
