"""Two workers whose shares of a step differ: none waits for the other, and both end with what one alone would learn."""

from __future__ import annotations

import multiprocessing
import os
import socket
from collections.abc import Mapping
from datetime import timedelta
from multiprocessing.queues import Queue

import numpy as np
import pytest
import torch
from torch import distributed

from fld_engine.refinement.student.model import Student, make_student
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.refinement.training.examples import HeldImages, TrainingImage
from fld_engine.refinement.training.meter import Place
from fld_engine.refinement.training.progress import Progress
from fld_engine.refinement.training.settings import Phase, TrainingConfig
from fld_engine.refinement.training.train import train
from fld_engine.schemas.sample import TargetEntry

NUM_WORKERS = 2
GIVES_UP_S, PATIENCE_S = 60, 300

CAPTION = TargetEntry(task="<CAPTION>", prompt="What does the image describe?", target="a dog", annotation_ids=("1",))
DETECTION = TargetEntry(
    task="<OD>",
    prompt="Locate the objects with category name in the image.",
    target="dog<loc_1><loc_2><loc_500><loc_600>",
    annotation_ids=("2",),
)
EVERY_SECOND = tuple((CAPTION,) if i % 2 else (CAPTION, DETECTION) for i in range(6))
CONFIG = TrainingConfig(
    num_steps=6, batch_images=2, seed=3, learning_rate=1e-3, warmup_steps=1, log_steps=2, checkpoint_steps=100,
    task_weights={"<CAPTION>": 0.0},
)  # fmt: skip
CASES: Mapping[str, tuple[TrainingConfig, tuple[tuple[TargetEntry, ...], ...]]] = {
    "images of which one worker learns nothing": (CONFIG, EVERY_SECOND),
    "fewer images in a step than workers": (CONFIG.model_copy(update={"batch_images": 1}), ((DETECTION,),) * 3),
    "shares of unequal numbers of parts": (
        CONFIG.model_copy(update={"batch_images": 3, "accumulate": 2}),
        EVERY_SECOND,
    ),
    "a phase of which nobody learns anything": (
        CONFIG.model_copy(
            update={
                "task_weights": {},
                "curriculum": (
                    Phase(from_share=0, max_regions=9, task_weights={"<CAPTION>": 0.0}),
                    Phase(from_share=0.5, max_regions=9),
                ),
            }
        ),
        ((CAPTION,),) * 4,
    ),
}

Weights = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Answer = tuple[int, str, str | dict[str, Weights]]


def untaught() -> Student:
    return make_student(StudentConfig(preset="tiny"), ["a dog", "dog"])


def teach(student: Student, case: str, place: Place) -> None:
    config, targets = CASES[case]
    images = [TrainingImage(f"image {i}", 1, of_image) for i, of_image in enumerate(targets)]
    grey = [np.full((32, 32, 3), 40 * i, np.uint8) for i in range(len(images))]
    train(student, HeldImages(images, grey), config, place=place)


def work(rank: int, port: int, answers: Queue[Answer]) -> None:
    """One worker's life: all cases, one after another."""
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    students = {case: untaught() for case in CASES}  # in a group, transformers writes files in its first process alone
    distributed.init_process_group("gloo", rank=rank, world_size=NUM_WORKERS, timeout=timedelta(seconds=GIVES_UP_S))
    for case, student in students.items():
        try:
            teach(student, case, Place(rank, NUM_WORKERS))
        except (RuntimeError, ValueError) as error:
            answers.put((rank, case, f"{type(error).__name__}: {error}"))
            return
        answers.put((rank, case, flat(student)))


@pytest.fixture(scope="module")
def together() -> dict[tuple[int, str], object]:
    """What each worker has learned, or what went wrong, by its number and the case."""
    context = multiprocessing.get_context("spawn")
    answers: Queue[Answer] = context.Queue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workers = [context.Process(target=work, args=(rank, port, answers)) for rank in range(NUM_WORKERS)]
    for worker in workers:
        worker.start()
    found: dict[tuple[int, str], object] = {}
    try:
        while len(found) < NUM_WORKERS * len(CASES) and not any(isinstance(value, str) for value in found.values()):
            rank, case, value = answers.get(timeout=PATIENCE_S)
            found[rank, case] = value
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    return found


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_workers_of_uneven_shares_learn_what_one_worker_would(
    together: dict[tuple[int, str], object], case: str
) -> None:
    """Up to the order of sums. A worker that waited in vain, or whose zeros counted as an answer, learns otherwise."""
    alone, before = untaught(), untaught()
    teach(alone, case, Place())
    learned = distance(flat(alone), flat(before))
    assert learned > 0.01, "something was to be learned"
    first, second = (together.get((rank, case)) for rank in range(NUM_WORKERS))
    assert isinstance(first, dict), together
    assert isinstance(second, dict), together
    assert all(np.array_equal(first[name], second[name]) for name in first), "the two went apart"
    assert distance(first, flat(alone)) < 0.1 * learned


def flat(student: Student) -> dict[str, Weights]:
    return {name: value.detach().clone().numpy() for name, value in student.model.state_dict().items()}


def distance(a: dict[str, Weights], b: dict[str, Weights]) -> float:
    """Of all weights together: AdamW moves those without a gradient by the noise of sums, which are few."""
    return float(np.sqrt(sum(float(((a[name] - b[name]) ** 2).sum()) for name in a)))


def test_a_step_that_teaches_nothing_leaves_the_student_as_it_is() -> None:
    """Not one weight decays, and the loss that is told is a number."""
    config = CONFIG.model_copy(update={"num_steps": 2})
    student = make_student(StudentConfig(preset="tiny"), ["a dog"])
    before = {name: value.clone() for name, value in student.model.state_dict().items()}
    told: list[Progress] = []
    data = HeldImages([TrainingImage("image", 1, (CAPTION,))], [np.zeros((32, 32, 3), np.uint8)])
    train(student, data, config, report=told.append)
    assert all(value.equal(before[name]) for name, value in student.model.state_dict().items())
    assert [progress.loss for progress in told] == [0.0]
