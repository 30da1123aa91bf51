"""What `fld refine` ends with."""

from __future__ import annotations

from collections.abc import Mapping

from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.schemas.annotations import Frozen


class RefineSummary(Frozen):
    """Rounds that stand, and why the loop ended.

    `final` maps metric → (round 0, last round) on the `final` split, which was read `num_readings` times in this root.
    """

    rounds: tuple[RoundRecord, ...]
    ended: str
    final: Mapping[str, tuple[float, float]]
    num_readings: int = 1
