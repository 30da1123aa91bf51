"""The training loop of a student: one worker's part of it, the same alone and among others."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from fld_engine.engine.data.images import RGB
from fld_engine.refinement.student.encoding import IGNORED, encode, encode_targets
from fld_engine.refinement.student.model import Student
from fld_engine.refinement.training.checkpoints import Checkpoints
from fld_engine.refinement.training.examples import Example, TrainingSet
from fld_engine.refinement.training.meter import Meter, Place, sum_over_workers
from fld_engine.refinement.training.order import Order, draw_targets
from fld_engine.refinement.training.progress import Report
from fld_engine.refinement.training.settings import TrainingConfig, check_weights
from fld_engine.refinement.training.step import TeacherForcing
from fld_engine.schemas.tasks import Task

log = logging.getLogger(__name__)


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Rising in a line through the warm-up, then half a cosine down to `final_share` at the last step."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(config.num_steps - 1 - config.warmup_steps, 1)
    low = config.final_share
    return config.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def train(
    student: Student,
    data: TrainingSet,
    config: TrainingConfig,
    *,
    checkpoints: Checkpoints | None = None,
    place: Place | None = None,
    device: str = "cpu",
    report: Report | None = None,
) -> None:
    """Train a student in place, from its latest checkpoint if it has one.

    With several workers, each calls this with its own `place` inside a torch process group, and all of them exchange
    gradients at every step, whatever their shares of it are. A step that teaches nobody anything changes nothing. On
    CPU, stopping and going on with the same number of workers gives the same weights as going through.
    """
    place = place or Place()
    check_weights(config.task_weights)
    order = Order(
        data.images, config.curriculum, num_steps=config.num_steps, batch=config.batch_images, seed=config.seed
    )
    trainer = _Trainer(student, config, place, device)
    latest = trainer.agreed(checkpoints.steps()) if checkpoints else None
    first = trainer.restore(checkpoints.load(latest) if checkpoints and latest is not None else None)
    meter = Meter()
    for step in range(first, config.num_steps):
        rows = order.batch(step)[place.rank :: place.size]
        weights = check_weights({**config.task_weights, **order.task_weights(step)})
        parts = _parts(data, rows, weights, config, step)
        if not parts and place.size > 1:
            parts = [_idle(data, order.batch(step)[0])]
        trainer.step(step, parts, meter)
        done = step + 1
        if report and (done % config.log_steps == 0 or done == config.num_steps):
            progress = meter.report(done, learning_rate(config, step), place)
            if place.rank == 0:
                report(progress)
        if checkpoints and (done % config.checkpoint_steps == 0 or done == config.num_steps):
            state = trainer.state()
            if place.rank == 0:
                checkpoints.save(done, state)


@dataclass(frozen=True, slots=True)
class Part:
    """Images and the examples about them that go through the model together; nothing is learned from an `idle` one."""

    images: list[RGB]
    examples: list[Example]
    idle: bool = False


def _parts(
    data: TrainingSet, rows: Sequence[int], weights: Mapping[Task, float], config: TrainingConfig, step: int
) -> list[Part]:
    """This worker's share of a step, cut into the parts that are accumulated."""
    size = max(1, math.ceil(len(rows) / config.accumulate))
    parts: list[Part] = []
    for start in range(0, len(rows), size):
        mine = rows[start : start + size]
        examples = [
            Example(number, target.task, target.prompt, target.target)
            for number, row in enumerate(mine)
            for target in draw_targets(data.images[row], weights, config.targets_per_image, seed=config.seed, step=step)
        ]
        if examples:
            parts.append(Part([data.pixels(row) for row in mine], examples))
    return parts


def _idle(data: TrainingSet, row: int) -> Part:
    """What a worker with no target in a step does beside the others, who wait for its gradients: all of them 0."""
    target = data.images[row].targets[0]
    return Part([data.pixels(row)], [Example(0, target.task, target.prompt, target.target)], idle=True)


class _Trainer:
    """Model, optimiser and random state of one worker."""

    def __init__(self, student: Student, config: TrainingConfig, place: Place, device: str) -> None:
        self._student, self._config, self._place, self._device = student, config, place, device
        student.model.to(device)
        self._module: Any = TeacherForcing(student.model).train()
        self._optimiser = torch.optim.AdamW(
            student.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        torch.manual_seed(config.seed * 1_000 + place.rank)

    def restore(self, state: dict[str, Any] | None) -> int:
        """Take over a checkpoint's state; returns the number of steps done."""
        if state:
            self._student.model.load_state_dict(state["model"])
            self._optimiser.load_state_dict(state["optimiser"])
            torch.set_rng_state(state["random"][self._place.rank % len(state["random"])])
            log.info("training goes on after step %d", state["step"])
        if self._place.size > 1:  # wrapped once the weights are in place: DDP sends those of worker 0 to the others
            self._module = DistributedDataParallel(self._module, find_unused_parameters=True)
        return int(state["step"]) if state else 0

    def agreed(self, steps: Sequence[int]) -> int | None:
        """The latest of the `steps` that worker 0 has found: a store may list a checkpoint late on another node."""
        latest = [steps[-1] if steps else None]
        if self._place.size > 1:
            distributed.broadcast_object_list(latest, src=0)
        return latest[0]

    def state(self) -> dict[str, Any]:
        """Everything to go on from. Every worker must call it: their random states are gathered."""
        random = [torch.get_rng_state()] * self._place.size
        if self._place.size > 1:
            gathered: list[Any] = [None] * self._place.size
            distributed.all_gather_object(gathered, torch.get_rng_state())
            random = gathered
        return {
            "model": self._student.model.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "random": random,
        }

    def step(self, step: int, parts: Sequence[Part], meter: Meter) -> None:
        """One update. The loss is the mean over all tokens of the step, whichever worker has them."""
        for group in self._optimiser.param_groups:
            group["lr"] = learning_rate(self._config, step)
        encoded = [self._encode(part) for part in parts]
        num_tokens = sum_over_workers(
            float(sum((labels != IGNORED).sum().item() for _, labels in encoded)), self._place, self._device
        )
        if not num_tokens:  # the same number for every worker: nobody is waited for
            return
        self._optimiser.zero_grad(set_to_none=True)
        for number, (part, (inputs, labels)) in enumerate(zip(parts, encoded, strict=True)):
            last = number == len(parts) - 1
            with self._no_sync(last), self._autocast():
                losses = self._module(inputs, labels)
                # DDP averages over workers; times their number makes it the mean over all tokens.
                (losses.sum() / num_tokens * self._place.size).backward()
            if not part.idle:
                meter.add(part.examples, losses.detach(), labels)
        torch.nn.utils.clip_grad_norm_(self._student.model.parameters(), self._config.clip_norm)
        self._optimiser.step()

    def _encode(self, part: Part) -> tuple[dict[str, Any], Any]:
        inputs = encode(self._student, part.images, [(example.image, example.prompt) for example in part.examples])
        labels = encode_targets(self._student, [example.target for example in part.examples])
        if part.idle:
            labels = labels.new_full(labels.shape, IGNORED)
        return {name: value.to(self._device) for name, value in inputs.items()}, labels.to(self._device)

    def _no_sync(self, last: bool) -> AbstractContextManager[Any]:
        """Gradients are exchanged once a step, with its last part."""
        if last or self._place.size == 1:
            return nullcontext()
        context: AbstractContextManager[Any] = self._module.no_sync()
        return context

    def _autocast(self) -> AbstractContextManager[Any]:
        if self._config.precision == "float32":
            return nullcontext()
        return torch.autocast(self._device.split(":")[0], dtype=torch.bfloat16)
