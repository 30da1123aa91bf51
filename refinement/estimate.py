"""How long students are trained, from a rate that is stated or measured in a few steps."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from statistics import median

import torch

from fld_engine.engine.plan.plan import Plan
from fld_engine.refinement.config import RefineConfig
from fld_engine.refinement.folds import EVERY_FOLD
from fld_engine.refinement.footprint import Footprint, footprint
from fld_engine.refinement.loop import Loop
from fld_engine.refinement.sparse import GENERAL, SPECIALIST
from fld_engine.refinement.student import SCRATCH
from fld_engine.refinement.training import train
from fld_engine.refinement.training_config import TrainingConfig
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ModelError

NUM_STEPS = 6
"""Steps of a calibration; the first, which also warms up, is not counted."""


class TrainingEstimate(Frozen):
    """What a training takes: `num_students` one after another, each `num_steps` of `samples_per_step`.

    `samples_per_step` are at most: an image may have fewer targets than are asked of it. `samples_per_s` is one
    worker's; with several, each does its share, and exchanging gradients is not counted. It, `seconds_per_step` and the
    `hours` of all students are None where no rate is known, `footprint` where the base cannot be opened here.
    """

    what: str
    base: str
    footprint: Footprint | None
    num_workers: int
    num_students: int
    num_steps: int
    samples_per_step: int
    samples_per_s: float | None
    seconds_per_step: float | None
    hours: float | None


def estimate_training(settings: RefineConfig, measured: float | None = None) -> tuple[TrainingEstimate, ...]:
    """What a round takes, and with `sparse` what the two trainings after the rounds take.

    With the `measured` samples per second of a worker, else with those that the config states.
    """
    trainings = [("each round", settings.num_students, settings.training)]
    if settings.sparse is not None:
        trainings += [
            (f"after the rounds: {GENERAL}", 1, settings.training),
            (f"after the rounds: {SPECIALIST}", 1, settings.sparse.training),
        ]
    return tuple(_estimate(what, number, training, settings, measured) for what, number, training in trainings)


def _estimate(
    what: str, num_students: int, training: TrainingConfig, settings: RefineConfig, measured: float | None
) -> TrainingEstimate:
    student, trainer = settings.student, settings.trainer
    samples = training.batch_images * training.targets_per_image
    rate = measured or trainer.samples_per_s
    seconds = samples / trainer.num_workers / rate if rate else None
    try:
        needs = footprint(settings, training)
    except ModelError:
        needs = None
    return TrainingEstimate(
        what=what,
        base=student.base if student.base != SCRATCH else f"{SCRATCH}, {student.preset}",
        footprint=needs,
        num_workers=trainer.num_workers,
        num_students=num_students,
        num_steps=training.num_steps,
        samples_per_step=samples,
        samples_per_s=rate,
        seconds_per_step=seconds,
        hours=None if seconds is None else seconds * training.num_steps * num_students / 3600,
    )


def measured_rate(loop: Loop, plan: Plan) -> float | None:
    """Samples per second of one worker on this machine, over a few steps on the labels of a plan that has run.

    The worker has its share of a step, as in training. None where no image has a target. Changes the root of the loop:
    a student from scratch is kept there.
    """
    lessons = loop.teacher.lessons(plan, EVERY_FOLD)
    data = lessons.open()
    if not data.images:
        return None
    training = loop.settings.training
    share = math.ceil(training.batch_images / loop.settings.trainer.num_workers)
    short = training.model_copy(
        update={"num_steps": NUM_STEPS, "batch_images": share, "log_steps": 1, "curriculum": ()}
    )
    times: list[float] = []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # as a worker has on processors
        train(
            loop.teacher.base(lessons)(),
            data,
            short,
            device="cuda" if torch.cuda.is_available() else "cpu",
            report=lambda progress: times.append(time.perf_counter()),
        )
    finally:
        torch.set_num_threads(threads)
    seconds = median(after - before for before, after in pairwise(times))
    return share * training.targets_per_image / seconds
