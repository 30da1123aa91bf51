"""The training loop on Ray Train: one worker on a laptop, DDP over several, and on again after one is lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError, get_context
from ray.train import report as report_to_ray
from ray.train.torch import TorchConfig, TorchTrainer
from ray.util.queue import Queue

from fld_engine.engine.data.store import Store
from fld_engine.engine.run.ray import RayBackend
from fld_engine.refinement.student.kept_student import keep_student
from fld_engine.refinement.student.model import Student
from fld_engine.refinement.training.checkpoints import Checkpoints
from fld_engine.refinement.training.examples import TrainingSet
from fld_engine.refinement.training.meter import Place
from fld_engine.refinement.training.progress import Report
from fld_engine.refinement.training.settings import TrainerResources, TrainingConfig
from fld_engine.refinement.training.train import train
from fld_engine.schemas.errors import RunnerError

LISTENER_LIMIT_S = 30.0
"""How long the end of a training waits for its last reports to be written."""


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """A training that any worker can take up: how to open what it needs, all of it picklable.

    `open_student` gives every worker the same untrained weights. The trained student is kept in `output` of the store
    at `store_url`, which all workers and the driver can reach; its checkpoints stand in `checkpoints` meanwhile. Both
    bear `fingerprint`, of everything that the student is made of.
    """

    open_student: Callable[[], Student]
    open_data: Callable[[], TrainingSet]
    config: TrainingConfig
    store_url: str
    checkpoints: str
    fingerprint: str
    output: str


def train_on_ray(
    job: TrainingJob,
    resources: TrainerResources,
    *,
    storage: str,
    address: str = "",
    report: Report = lambda progress: None,
    held: Callable[[float], None] = lambda seconds: None,
) -> None:
    """Train to the end, on the Ray cluster at `address` or one of this machine. `storage` is for Ray's own records: a
    folder or URL that all its nodes can reach. `report` is called with progress, in a thread of this process; `held`
    with the seconds for which the workers were there, once, also where training fails.

    A worker that dies takes the others along; all start again from the latest checkpoint. Raises `RunnerError` where
    the cluster has too little for the workers, instead of waiting for more, and where training failed for good.
    """
    RayBackend(address)
    _check_resources(resources)
    try:
        with _relayed(report) as queue, _timed(held):
            _Trainer(
                partial(_train_loop, report=queue.put),
                train_loop_config={"job": job},
                scaling_config=ScalingConfig(
                    num_workers=resources.num_workers,
                    use_gpu=resources.gpus_per_worker > 0,
                    resources_per_worker=_worker_resources(resources),
                ),
                torch_config=TorchConfig(backend="nccl" if resources.gpus_per_worker else "gloo"),
                run_config=RunConfig(
                    storage_path=storage, failure_config=FailureConfig(max_failures=resources.max_failures)
                ),
            ).fit()
    except TrainingFailedError as error:
        raise RunnerError(
            f"training failed {resources.max_failures + 1} times: {error}; what was learned up to the latest "
            f"checkpoint is kept in {job.store_url}/{job.checkpoints}, the same command goes on from there"
        ) from error


class _Trainer(TorchTrainer):
    """Training that leaves signals to the driver: Ray's handler of SIGINT would stay when the training is over."""

    def _register_sigint_handler(self, controller: Any) -> None:
        pass


@contextmanager
def _timed(held: Callable[[float], None]) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    finally:
        held(time.monotonic() - begun)


@contextmanager
def _relayed(report: Report) -> Iterator[Queue]:
    """A queue that workers put progress into, and a thread that hands it on."""
    queue = Queue(actor_options={"num_cpus": 0})
    listener = threading.Thread(target=_listen, args=(queue, report), name="training progress", daemon=True)
    listener.start()
    try:
        yield queue
    finally:
        queue.put(None)
        listener.join(LISTENER_LIMIT_S)
        queue.shutdown(force=True)


def _listen(queue: Queue, report: Report) -> None:
    while (progress := queue.get()) is not None:
        report(progress)


def _train_loop(config: Mapping[str, Any], *, report: Report) -> None:
    """What every worker runs."""
    import torch

    job: TrainingJob = config["job"]
    context = get_context()
    place = Place(rank=context.get_world_rank(), size=context.get_world_size())
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # sums come in the same order however many cores the machine has
    student = job.open_student()
    train(
        student,
        job.open_data(),
        job.config,
        checkpoints=Checkpoints(Store(job.store_url), job.checkpoints, job.fingerprint),
        place=place,
        device=f"cuda:{context.get_local_rank()}" if torch.cuda.is_available() else "cpu",
        report=report,
    )
    if place.rank == 0:
        student.model.to("cpu")
        keep_student(student, Store(job.store_url), job.output, made_of=job.fingerprint)
    report_to_ray({"done": True})


def _worker_resources(resources: TrainerResources) -> dict[str, float]:
    wanted = {"CPU": resources.cpus_per_worker, "GPU": resources.gpus_per_worker}
    return {name: amount for name, amount in wanted.items() if amount}


def _check_resources(resources: TrainerResources) -> None:
    """Raises `RunnerError` where the cluster has too little in all, or it does not come free in time."""
    has: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    for name, amount in _worker_resources(resources).items():
        if (needed := amount * resources.num_workers) > has.get(name, 0.0):
            raise RunnerError(
                f"training on {resources.num_workers} workers needs {needed:g} {name}, the cluster has "
                f"{has.get(name, 0.0):g}: lower `num_workers`, or add nodes"
            )
    deadline = time.monotonic() + resources.room_limit_s
    while busy := _not_free(resources):
        if time.monotonic() > deadline:
            raise RunnerError(
                f"training on {resources.num_workers} workers found no room within {resources.room_limit_s:g} s: "
                f"{busy}, the rest of the cluster is in use; wait for what runs there, or raise `room_limit_s`"
            )
        time.sleep(0.2)


def _not_free(resources: TrainerResources) -> str:
    """What there is too little of at the moment; empty where nothing is missing."""
    free: dict[str, float] = ray.available_resources()  # type: ignore[no-untyped-call]  # Ray leaves it untyped
    return ", ".join(
        f"{needed:g} {name} needed, {free.get(name, 0.0):g} free"
        for name, amount in _worker_resources(resources).items()
        if (needed := amount * resources.num_workers) > free.get(name, 0.0)
    )
