"""The settings of a training, without the library that trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.refinement.examples import Phase
from fld_engine.schemas.annotations import Frozen


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
