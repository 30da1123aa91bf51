"""Training over two real Ray workers, on CPU with gloo."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path

import psutil
import pytest
import ray
import torch

from fld_engine.engine.data.store import Store
from fld_engine.engine.run.ray import RayBackend
from fld_engine.refinement.student.model import load_student
from fld_engine.refinement.training.checkpoints import Checkpoints
from fld_engine.refinement.training.examples import HeldImages
from fld_engine.refinement.training.ray_trainer import TrainingJob, train_on_ray
from fld_engine.refinement.training.settings import TrainerResources, TrainingConfig
from fld_engine.schemas.errors import RunnerError
from tests.refinement.tiny import student, training_set
from tests.refinement.workers import training_workers
from tests.waiting import wait_until

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context")  # Ray warns of itself

CONFIG = TrainingConfig(num_steps=12, batch_images=4, warmup_steps=2, checkpoint_steps=2, log_steps=4, seed=2)
TWO = TrainerResources(num_workers=2, cpus_per_worker=0.5)


def job(folder: Path, base: Path) -> TrainingJob:
    data = training_set(10)
    return TrainingJob(
        open_student=partial(load_student, str(base)),
        open_data=partial(HeldImages, data.images, data.arrays),
        config=CONFIG,
        store_url=str(folder),
        checkpoints="training",
        fingerprint="abc",
        output="student",
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = load_student(str(folder / "student")).model.state_dict()
    return state


def kill_a_worker_after(checkpoints: Checkpoints, killed: list[int]) -> None:
    """Kill one training worker as soon as there is something to go on from."""
    worker = wait_until(lambda: checkpoints.steps() and training_workers(psutil.Process()))[0]
    worker.kill()
    killed.append(worker.pid)


@pytest.mark.long(minutes=2)
def test_a_lost_worker_changes_nothing(tmp_path: Path) -> None:
    base = tmp_path / "base"
    student(base)
    steps: list[int] = []
    whole_job = job(tmp_path / "whole", base)
    train_on_ray(whole_job, TWO, storage=str(tmp_path / "ray"), report=lambda progress: steps.append(progress.step))
    assert steps == [4, 8, 12], "told once, though two workers train"

    broken = job(tmp_path / "broken", base)
    checkpoints = Checkpoints(Store(broken.store_url), broken.checkpoints, broken.fingerprint)
    killed: list[int] = []
    killer = threading.Thread(target=kill_a_worker_after, args=(checkpoints, killed))
    killer.start()
    train_on_ray(broken, TWO, storage=str(tmp_path / "ray"))
    killer.join()

    assert killed
    whole, resumed = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert [name for name in whole if not whole[name].equal(resumed[name])] == []
    untrained = load_student(str(base)).model.state_dict()
    assert any(not whole[name].equal(untrained[name]) for name in whole)


def test_more_than_the_cluster_has_is_refused_at_once(tmp_path: Path) -> None:
    """Ray itself would wait for ever."""
    resources = TrainerResources(num_workers=10_000)
    with pytest.raises(RunnerError, match="needs 10000 CPU"):
        train_on_ray(job(tmp_path, tmp_path / "base"), resources, storage=str(tmp_path / "ray"))


def test_a_cluster_that_stays_busy_is_named(tmp_path: Path) -> None:
    """Ray itself would wait for ever."""
    RayBackend()
    every = int(ray.cluster_resources()["CPU"])
    holder = ray.remote(_Holder).options(num_cpus=every).remote()
    ray.get(holder.here.remote())
    resources = TrainerResources(num_workers=1, room_limit_s=0.5)
    with pytest.raises(RunnerError, match=r"found no room within 0\.5 s: 1 CPU needed, 0 free"):
        train_on_ray(job(tmp_path, tmp_path / "base"), resources, storage=str(tmp_path / "ray"))
    ray.kill(holder)


class _Holder:
    """Occupies what it is given."""

    def here(self) -> bool:
        return True
