"""How long students are trained, from a rate that is stated or measured in a few steps."""

from __future__ import annotations

import math
import time
from itertools import pairwise
from statistics import median

import torch

from fld_engine.engine.plan.plan import Plan
from fld_engine.refinement.labels.folds import EVERY_FOLD
from fld_engine.refinement.student.settings import SCRATCH, StudentConfig
from fld_engine.refinement.training.memory import TrainingMemory, training_memory
from fld_engine.refinement.training.settings import TrainerResources, TrainingConfig
from fld_engine.refinement.training.teaching import Teacher
from fld_engine.refinement.training.train import train
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ModelError

NUM_STEPS = 6
"""Steps of a calibration; the first, which also warms up, is not counted."""


class TrainingEstimate(Frozen):
    """What a training takes: `num_students` one after another, each `num_steps` of `samples_per_step`.

    `samples_per_step` are at most: an image may have fewer targets than are asked of it. `samples_per_s` is one
    worker's; with several, each does its share, and exchanging gradients is not counted. It, `seconds_per_step` and the
    `hours` of all students are None where no rate is known, `memory` where the base cannot be opened here.
    """

    what: str
    base: str
    memory: TrainingMemory | None
    num_workers: int
    num_students: int
    num_steps: int
    samples_per_step: int
    samples_per_s: float | None
    seconds_per_step: float | None
    hours: float | None


def estimate_training(
    what: str,
    student: StudentConfig,
    training: TrainingConfig,
    trainer: TrainerResources,
    *,
    num_students: int,
    measured: float | None = None,
) -> TrainingEstimate:
    """What the trainings called `what` take, by the `measured` samples per second of a worker or the stated ones."""
    samples = training.batch_images * training.targets_per_image
    rate = measured or trainer.samples_per_s
    seconds = samples / trainer.num_workers / rate if rate else None
    try:
        memory = training_memory(student, training, num_workers=trainer.num_workers)
    except ModelError:
        memory = None
    return TrainingEstimate(
        what=what,
        base=student.base if student.base != SCRATCH else f"{SCRATCH}, {student.preset}",
        memory=memory,
        num_workers=trainer.num_workers,
        num_students=num_students,
        num_steps=training.num_steps,
        samples_per_step=samples,
        samples_per_s=rate,
        seconds_per_step=seconds,
        hours=None if seconds is None else seconds * training.num_steps * num_students / 3600,
    )


def measured_rate(teacher: Teacher, training: TrainingConfig, plan: Plan) -> float | None:
    """Samples per second of one worker on this machine, over a few steps on the labels of a plan that has run.

    The worker has its share of a step, as in training. None where no image has a target. Changes the root of the
    teacher: a student from scratch is kept there.
    """
    training_set = teacher.training_set(plan, EVERY_FOLD)
    data = training_set.open()
    if not data.images:
        return None
    share = math.ceil(training.batch_images / teacher.settings.trainer.num_workers)
    short = training.model_copy(
        update={"num_steps": NUM_STEPS, "batch_images": share, "log_steps": 1, "curriculum": ()}
    )
    times: list[float] = []
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)  # as a worker has on processors
        train(
            teacher.base(training_set)(),
            data,
            short,
            device="cuda" if torch.cuda.is_available() else "cpu",
            report=lambda progress: times.append(time.perf_counter()),
        )
    finally:
        torch.set_num_threads(threads)
    seconds = median(after - before for before, after in pairwise(times))
    return share * training.targets_per_image / seconds
