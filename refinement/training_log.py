"""Training curves that TensorBoard reads: `tensorboard --logdir ROOT/refinement`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refinement.training import Progress


class TensorBoardLog:
    """A report of training that writes event files. Picklable: the writer is opened by the worker that reports.

    After a resume the steps that are done again replace those that were lost.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._writer: Any = None

    def __call__(self, progress: Progress) -> None:
        values = {"loss": progress.loss, "learning_rate": progress.learning_rate}
        self.scalars(
            {**values, **{f"loss/{task.strip('<>')}": loss for task, loss in progress.by_task.items()}}, progress.step
        )

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write named values of a step, gold metrics for one, and flush them."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(self._folder, purge_step=step)
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
