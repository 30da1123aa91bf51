"""Filters of what a verifier has taken a second look at: labels that do not hold, phrases with something missed."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.columns import lowest_of
from fld_engine.schemas.annotations import Frozen, Question


class RegionCheck:
    """Keeps regions whose label holds at a second look.

    The value is the lowest score of the region's checks: each verifier can refute. It is NaN for regions that nobody
    checked and those of people, which pass.
    """

    class Params(Frozen):
        """How sure a verifier must be that a label holds."""

        min_score: float = Field(default=0.5, ge=0, le=1, description="yes is likelier than no; ours")

    version = 1
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset({"regions", "checks"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        value = _lowest(tables["regions"], tables["checks"], "holds")
        return Verdicts(keep=~(value < self.params.min_score), value=value, reason="label_refuted")


class PhraseCheck:
    """Keeps phrases of whose boxes a second look says that nothing is missed.

    The value is the lowest score of the phrase's checks; NaN for phrases that nobody checked and those of people, which
    pass.
    """

    class Params(Frozen):
        """How sure a verifier must be that nothing is missed."""

        min_score: float = Field(default=0.5, ge=0, le=1, description="yes is likelier than no; ours")

    version = 1
    target: ClassVar[str] = "phrases"
    requires: frozenset[str] = frozenset({"phrases", "checks"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        value = _lowest(tables["phrases"], tables["checks"], "complete")
        return Verdicts(keep=~(value < self.params.min_score), value=value, reason="incomplete")


def _lowest(subjects: pa.Table, checks: pa.Table, question: Question) -> Floats:
    return lowest_of(subjects, checks.filter(pc.equal(checks["question"], question)))
