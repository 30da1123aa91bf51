"""The settings of `fld refine`: section `refine` of a config."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.plan.protocols import Resources
from fld_engine.refinement.drift import DriftLimits
from fld_engine.refinement.round import RoundRules
from fld_engine.refinement.student import StudentConfig
from fld_engine.refinement.training_config import TrainingConfig
from fld_engine.schemas.annotations import Frozen


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


class FineTuningConfig(TrainingConfig):
    """A short training of a student that has learned everything else; both defaults ours."""

    num_steps: int = Field(default=500, gt=0)
    learning_rate: float = Field(default=1e-4, gt=0)


class SparseConfig(Frozen):
    """Tasks with too few texts: a specialist learns them from the few there are, and writes those that are missing.

    `min_texts` of each of the `granularities` must be there to learn from; ours. The paper says no number.
    """

    in_fingerprints: ClassVar[Fields] = Fields(always=("granularities", "min_texts", "training"))

    granularities: tuple[Literal["detailed", "more_detailed"], ...] = Field(
        default=("detailed", "more_detailed"), min_length=1
    )
    min_texts: int = Field(default=100, gt=0)
    training: FineTuningConfig = Field(default_factory=FineTuningConfig)


class RefineConfig(Frozen):
    """Student, training, merge and gate of every round.

    `max_names` names, the most frequent ones, are candidates when a student is asked what a region is. `annotator` is
    what one worker of the students needs when they look at all images again. `sparse` asks for a step after the rounds.
    """

    in_fingerprints: ClassVar[Fields] = Fields(
        always=("student", "training", "rules", "drift", "max_names", "max_answer_tokens"),
        never=("trainer", "annotator", "sparse"),
    )

    student: StudentConfig = Field(default_factory=StudentConfig)
    training: TrainingConfig = Field(default_factory=TrainingConfig)
    trainer: TrainerResources = Field(default_factory=TrainerResources)
    rules: RoundRules = Field(default_factory=RoundRules)
    drift: DriftLimits = Field(default_factory=DriftLimits)
    annotator: Resources = Field(default_factory=lambda: Resources(cpus=1, memory_mb=3000))
    max_names: int = Field(default=64, gt=0)
    max_answer_tokens: int = Field(default=256, gt=0)
    sparse: SparseConfig | None = None

    @property
    def num_students(self) -> int:
        """Of a round: one a fold, or one for all."""
        return 1 if self.rules.in_sample else self.rules.num_folds
