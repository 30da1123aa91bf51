"""What all the trainings of `fld refine` take."""

from __future__ import annotations

from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.sparse import GENERAL, SPECIALIST
from fld_engine.refinement.training.estimate import TrainingEstimate, estimate_training


def estimate_trainings(settings: RefineConfig, measured: float | None = None) -> tuple[TrainingEstimate, ...]:
    """What a round takes, and with `sparse` what the two trainings after the rounds take.

    With the `measured` samples per second of a worker, else with those that the config states.
    """
    trainings = [("each round", settings.num_students, settings.training)]
    if settings.sparse is not None:
        trainings += [
            (f"after the rounds: {GENERAL}", 1, settings.training),
            (f"after the rounds: {SPECIALIST}", 1, settings.sparse.training),
        ]
    return tuple(
        estimate_training(
            what, settings.student, training, settings.trainer, num_students=num_students, measured=measured
        )
        for what, num_students, training in trainings
    )
