"""What a training tells of itself while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fld_engine.schemas.annotations import Frozen


class Progress(Frozen):
    """What a step reports: mean loss a token, over the steps since the last report, of everything and by task."""

    step: int
    loss: float
    by_task: Mapping[str, float]
    learning_rate: float


Report = Callable[[Progress], None]
