"""The settings of training: keys `refine.training`, `refine.trainer` and `refine.sparse.training` of a config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError, unknown_name
from fld_engine.schemas.tasks import TASKS, Task

DEFAULT_WEIGHTS: Mapping[Task, float] = {
    "<CAPTION>": 1.0,
    "<DETAILED_CAPTION>": 1.0,
    "<MORE_DETAILED_CAPTION>": 1.0,
    "<OD>": 3.0,
    "<DENSE_REGION_CAPTION>": 0.5,
    "<REGION_PROPOSAL>": 0.5,
    "<OCR>": 0.5,
    "<OCR_WITH_REGION>": 1.0,
    "<CAPTION_TO_PHRASE_GROUNDING>": 1.0,
    "<OPEN_VOCABULARY_DETECTION>": 0.5,
    "<REFERRING_EXPRESSION_SEGMENTATION>": 0.5,
    "<REGION_TO_SEGMENTATION>": 0.5,
    "<REGION_TO_CATEGORY>": 2.0,
    "<REGION_TO_DESCRIPTION>": 0.5,
    "<REGION_TO_OCR>": 0.5,
}
"""How often a task is drawn, relative to the others that an image has. The two that a round depends on come first:
detection annotates, region to category judges the labels there are. Ours; the paper gives no mixture."""


class Phase(Frozen):
    """A part of the curriculum: from this share of the steps on, images of up to `max_regions` regions.

    `task_weights` stand over those of the training for this phase. To a student that cannot see yet, locations are
    noise, four tokens a box; it learns sooner what things are called if it is asked that first.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("from_share", "max_regions", "task_weights"))

    from_share: float = Field(ge=0, lt=1)
    max_regions: int = Field(gt=0)
    task_weights: Mapping[str, float] = Field(default_factory=dict)


class TrainingConfig(Frozen):
    """How long and how a student learns. One step is one update of the weights, over all workers together."""

    in_fingerprints: ClassVar[Fields] = Fields(
        always=(
            "num_steps", "batch_images", "targets_per_image", "accumulate", "learning_rate", "final_share",
            "warmup_steps", "weight_decay", "clip_norm", "precision", "curriculum", "task_weights", "checkpoint_steps",
            "log_steps", "seed",
        ),
    )  # fmt: skip

    num_steps: int = Field(default=1000, gt=0)
    batch_images: int = Field(default=16, gt=0)
    """Images of a step, over all workers and accumulated batches."""
    targets_per_image: int = Field(default=3, gt=0)
    accumulate: int = Field(default=1, gt=0)
    """Parts that a worker's share of a step is done in, one after another, to save memory."""
    learning_rate: float = Field(default=1e-3, gt=0)
    final_share: float = Field(default=0.02, ge=0, le=1)
    """Learning rate at the last step, as a share of the highest."""
    warmup_steps: int = Field(default=50, ge=0)
    weight_decay: float = Field(default=0.01, ge=0)
    clip_norm: float = Field(default=1.0, gt=0)
    precision: Literal["float32", "bfloat16"] = "float32"
    curriculum: Sequence[Phase] = ()
    task_weights: Mapping[str, float] = Field(default_factory=dict)
    checkpoint_steps: int = Field(default=200, gt=0)
    log_steps: int = Field(default=20, gt=0)
    seed: int = 0


class FineTuningConfig(TrainingConfig):
    """A short training of a student that has learned everything else; both defaults ours."""

    num_steps: int = Field(default=500, gt=0)
    learning_rate: float = Field(default=1e-4, gt=0)


class TrainerResources(Frozen):
    """What training may use. `max_failures` counts lost workers; each time all of them go on from a checkpoint."""

    num_workers: int = Field(default=1, gt=0)
    cpus_per_worker: float = Field(default=1.0, gt=0)
    gpus_per_worker: float = Field(default=0.0, ge=0)
    max_failures: int = Field(default=2, ge=0)
    samples_per_s: float | None = Field(default=None, gt=0)
    """Questions and answers that a worker learns from in a second, for `fld plan` of hardware that is not there."""
    room_limit_s: float = Field(default=300.0, gt=0)
    """How long to wait for processors and GPUs that others on the cluster use."""


def check_weights(weights: Mapping[str, float]) -> dict[Task, float]:
    """Task weights with the defaults under them. Raises `ConfigError` for unknown tasks and when nothing is left."""
    merged = dict(DEFAULT_WEIGHTS)
    for name, weight in weights.items():
        task = next((task for task in TASKS if task == name), None)
        if task is None:
            raise ConfigError(unknown_name("task", name, TASKS))
        if weight < 0:
            raise ConfigError(f"task weight of {name} is {weight}: expected 0, which leaves it out, or more")
        merged[task] = weight
    if not any(merged.values()):
        raise ConfigError("every task weight is 0: a student needs at least one task to learn")
    return merged
