from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from fld_engine.engine.data.store import Store
from fld_engine.refinement.student.model import Student
from fld_engine.refinement.training.checkpoints import Checkpoints
from fld_engine.refinement.training.examples import HeldImages
from fld_engine.refinement.training.progress import Progress
from fld_engine.refinement.training.settings import Phase, TrainingConfig
from fld_engine.refinement.training.train import learning_rate, train
from fld_engine.schemas.errors import RootError
from tests.refinement.tiny import student, training_set

CONFIG = TrainingConfig(
    num_steps=6, batch_images=3, learning_rate=3e-3, warmup_steps=2, checkpoint_steps=2, log_steps=3, seed=5
)
DATA = training_set(8)


class Lost(Exception):
    """The worker is gone."""


def weights(taught: Student) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in taught.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(a[name].equal(b[name]) for name in a)


def trained(folder: Path, config: TrainingConfig = CONFIG, data: HeldImages = DATA) -> dict[str, torch.Tensor]:
    taught = student(folder)
    train(taught, data, config)
    return weights(taught)


class LosesItsWorker(HeldImages):
    """Images until one too many is read."""

    reads = 0

    def pixels(self, index: int):  # type: ignore[no-untyped-def]
        LosesItsWorker.reads += 1
        if LosesItsWorker.reads > 14:  # in the fifth step of six
            raise Lost
        return HeldImages.pixels(self, index)


def test_resumed_training_gives_equal_weights(tmp_path: Path) -> None:
    """Lost in step 5, gone on from the checkpoint of step 4, in a new process's stead a new student."""
    whole = trained(tmp_path / "student")
    checkpoints = Checkpoints(Store(str(tmp_path / "root")), "training", "abc")
    with pytest.raises(Lost):
        train(student(tmp_path / "student"), LosesItsWorker(DATA.images, DATA.arrays), CONFIG, checkpoints=checkpoints)
    assert checkpoints.steps() == [2, 4]
    torch.manual_seed(99)  # whatever the new process did before
    again = student(tmp_path / "student")
    train(again, DATA, CONFIG, checkpoints=checkpoints)
    assert same(weights(again), whole)


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Store(str(tmp_path / "root")), "training", "abc")
    first, second = student(tmp_path / "student"), student(tmp_path / "student")
    train(first, DATA, CONFIG, checkpoints=checkpoints)
    train(second, LosesItsWorker(DATA.images, DATA.arrays), CONFIG, checkpoints=checkpoints)  # reads no image
    assert same(weights(first), weights(second))


def test_only_the_latest_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(Store(str(tmp_path / "root")), "training", "abc")
    train(student(tmp_path / "student"), DATA, CONFIG, checkpoints=checkpoints)
    assert checkpoints.steps() == [4, 6]


def test_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "root"))
    Checkpoints(store, "training", "abc").save(2, {})
    with pytest.raises(RootError, match="folder of its own"):
        Checkpoints(store, "training", "xyz").load()


def test_accumulated_parts_make_the_same_step(tmp_path: Path) -> None:
    """Three images at once or one after another: the same gradient, up to the order of sums."""
    at_once = trained(tmp_path / "a", CONFIG.model_copy(update={"num_steps": 1}))
    in_parts = trained(tmp_path / "a", CONFIG.model_copy(update={"num_steps": 1, "accumulate": 3}))
    untrained = weights(student(tmp_path / "a"))
    name = "model.multi_modal_projector.image_projection.weight"
    change = (at_once[name] - untrained[name]).abs().max()
    assert (at_once[name] - in_parts[name]).abs().max() < 0.01 * change


def test_loss_falls_and_is_reported_by_task(tmp_path: Path) -> None:
    reports: list[Progress] = []
    config = CONFIG.model_copy(update={"num_steps": 60, "log_steps": 20})
    train(student(tmp_path / "a"), training_set(4), config, report=reports.append)
    assert [progress.step for progress in reports] == [20, 40, 60]
    assert reports[-1].by_task.keys() == {"<CAPTION>", "<OD>", "<REGION_TO_CATEGORY>"}
    assert reports[-1].loss < 0.7 * reports[0].loss
    assert all(reports[-1].by_task[task] < reports[0].by_task[task] for task in reports[0].by_task)


def test_task_of_weight_zero_is_not_learned(tmp_path: Path) -> None:
    reports: list[Progress] = []
    config = CONFIG.model_copy(update={"task_weights": {"<OD>": 0.0}})
    train(student(tmp_path / "a"), DATA, config, report=reports.append)
    assert reports[-1].by_task.keys() == {"<CAPTION>", "<REGION_TO_CATEGORY>"}


def test_curriculum_reaches_the_loop(tmp_path: Path) -> None:
    seen: set[int] = set()

    class Watched(HeldImages):
        def pixels(self, index: int):  # type: ignore[no-untyped-def]
            seen.add(self.images[index].num_regions)
            return HeldImages.pixels(self, index)

    config = CONFIG.model_copy(update={"curriculum": (Phase(from_share=0, max_regions=1),)})
    train(student(tmp_path / "a"), Watched(DATA.images, DATA.arrays), config)
    assert seen == {1}


def test_schedule_warms_up_and_comes_down() -> None:
    config = TrainingConfig(num_steps=101, warmup_steps=10, learning_rate=1.0, final_share=0.1)
    rates = [learning_rate(config, step) for step in range(101)]
    assert rates[0] == 0.1
    assert rates[9] == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.55)  # half way down a half cosine from 1 to 0.1
    assert rates[100] == pytest.approx(0.1)
    assert all(a >= b for a, b in pairwise(rates[10:]))
