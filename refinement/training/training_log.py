"""Training curves that TensorBoard reads: `tensorboard --logdir ROOT/training`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fld_engine.refinement.training.progress import Progress


class TensorBoardLog:
    """A report of training that writes event files.

    Steps that are done again, after a worker was lost or in another run, replace those that were there.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._writer: Any = None
        self._last = 0

    def __call__(self, progress: Progress) -> None:
        values = {"loss": progress.loss, "learning_rate": progress.learning_rate}
        by_task = {f"loss/{task.strip('<>')}": loss for task, loss in progress.by_task.items()}
        self.scalars({**values, **by_task}, progress.step)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Write named values of a step, gold metrics for one, and flush them."""
        from torch.utils.tensorboard import SummaryWriter

        if self._writer is None or step <= self._last:
            self._writer = SummaryWriter(self._folder, purge_step=step)
        self._last = step
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()
