from __future__ import annotations

from collections import Counter

import pytest

from fld_engine.refinement.training.examples import TrainingImage
from fld_engine.refinement.training.order import Order, draw_targets
from fld_engine.refinement.training.settings import DEFAULT_WEIGHTS, Phase
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.sample import TargetEntry
from fld_engine.schemas.tasks import TASKS, Task


def target(task: Task, words: str) -> TargetEntry:
    return TargetEntry(task=task, prompt=task, target=words, annotation_ids=())


def image(name: str, num_regions: int, *targets: TargetEntry) -> TrainingImage:
    return TrainingImage(name, num_regions, targets or (target("<CAPTION>", name),))


IMAGES = [image(f"image {i}", 1 + i % 4) for i in range(20)]


def order(phases: list[Phase] | None = None, images: list[TrainingImage] | None = None, seed: int = 0) -> Order:
    return Order(images or IMAGES, phases or [], num_steps=100, batch=4, seed=seed)


def test_every_epoch_sees_every_image_once_in_a_new_order() -> None:
    epochs = [[row for step in range(5 * n, 5 * n + 5) for row in order().batch(step)] for n in range(2)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_order_needs_no_memory() -> None:
    """A resumed training must see what it would have seen: any step's batch, asked for first or last, is the same."""
    once = order()
    forward = [once.batch(step) for step in range(30)]
    assert [order().batch(step) for step in reversed(range(30))] == forward[::-1]
    assert order(seed=1).batch(0) != forward[0]


def test_curriculum_begins_with_few_regions() -> None:
    taught = order([Phase(from_share=0, max_regions=1), Phase(from_share=0.5, max_regions=3)])
    assert {IMAGES[row].num_regions for step in range(50) for row in taught.batch(step)} == {1}
    assert {IMAGES[row].num_regions for step in range(50, 100) for row in taught.batch(step)} == {1, 2, 3}


def test_phase_without_images_is_refused_before_training() -> None:
    with pytest.raises(ConfigError, match="up to 1 regions"):
        order([Phase(from_share=0, max_regions=1)], [image("crowd", 5)])
    with pytest.raises(ConfigError, match="no image with a target"):
        order(images=[TrainingImage("bare", 0, ())])


def test_image_without_targets_is_never_drawn() -> None:
    bare = [TrainingImage("bare", 1, ()), image("full", 1)]
    assert {row for step in range(10) for row in order(images=bare).batch(step)} == {1}


def test_tasks_are_drawn_by_weight_and_targets_of_a_task_evenly() -> None:
    """A crowded image has fifty region targets and one detection target: the latter must not drown."""
    crowded = image("a", 3, target("<OD>", "od"), *(target("<REGION_TO_CATEGORY>", f"r{i}") for i in range(9)))
    weights = {**dict.fromkeys(TASKS, 0.0), "<OD>": 3.0, "<REGION_TO_CATEGORY>": 1.0}
    drawn = [draw_targets(crowded, weights, 1, seed=0, step=step)[0] for step in range(1200)]
    count = Counter(entry.task for entry in drawn)
    assert abs(count["<OD>"] - 900) < 75  # 5 standard deviations of 1,200 draws at 3/4
    names = Counter(entry.target for entry in drawn if entry.task == "<REGION_TO_CATEGORY>")
    assert len(names) == 9


def test_no_target_twice_and_no_task_of_weight_zero() -> None:
    few = image("a", 1, target("<OD>", "od"), target("<CAPTION>", "text"))
    weights = {**DEFAULT_WEIGHTS, "<CAPTION>": 0.0}
    assert [entry.task for entry in draw_targets(few, weights, 3, seed=0, step=0)] == ["<OD>"]


def test_draw_does_not_depend_on_neighbours() -> None:
    a = image("a", 1, *(target("<REGION_TO_CATEGORY>", f"{i}") for i in range(50)))
    assert draw_targets(a, DEFAULT_WEIGHTS, 3, seed=1, step=7) == draw_targets(a, DEFAULT_WEIGHTS, 3, seed=1, step=7)
    assert draw_targets(a, DEFAULT_WEIGHTS, 3, seed=1, step=7) != draw_targets(a, DEFAULT_WEIGHTS, 3, seed=1, step=8)
