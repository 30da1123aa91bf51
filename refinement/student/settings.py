"""The settings of a student: key `refine.student` of a config."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.refinement.student.presets import PresetName
from fld_engine.schemas.annotations import Frozen

SCRATCH = "scratch"


class StudentConfig(Frozen):
    """Where a student starts. `base` is a hub id, a local folder, or `scratch`, which is made in size `preset`."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("base", "preset", "revision", "seed", "max_target_tokens"))

    base: str = SCRATCH
    preset: PresetName = "small"
    revision: str = ""
    """Of a hub id. Pin a commit: a branch moves, and with it what the same config means."""
    seed: int = 0
    max_target_tokens: int = Field(default=512, gt=0)
