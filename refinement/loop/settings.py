"""The settings of `fld refine`: section `refine` of a config."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.engine.plan.protocols import Resources
from fld_engine.refinement.gate.drift import DriftLimits
from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.refinement.student.settings import StudentConfig
from fld_engine.refinement.training.settings import FineTuningConfig, TrainerResources, TrainingConfig
from fld_engine.schemas.annotations import Frozen


class RoundRules(Frozen):
    """The knobs of a round. `in_sample` is the paper's way: one student, trained on what it labels."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("num_folds", "in_sample", "merge", "gate"))

    num_folds: int = Field(default=2, ge=2)
    in_sample: bool = False
    merge: MergeRules = Field(default_factory=MergeRules)
    gate: GateRules = Field(default_factory=GateRules)


class SparseConfig(Frozen):
    """Tasks with too few texts: a specialist learns them from the few there are, and writes those that are missing.

    `min_texts` of each of the `granularities` must be there to learn from; the number is ours, the paper has none.
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
