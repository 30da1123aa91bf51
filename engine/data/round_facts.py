"""What a round of refinement decided about each specialist."""

from __future__ import annotations

from fld_engine.schemas.annotations import Frozen

NOT_MEASURED = "not measured"
"""Metric of a round's specialist that was taken over without a reference to score it on."""


class RoundFacts(Frozen):
    """A refinement round: what a specialist scored on the gate's images before and after, and whether it passed."""

    number: int
    specialist: str
    metric: str
    before: float
    after: float
    accepted: bool

    @property
    def measured(self) -> bool:
        """False for a specialist that was taken over without a reference: its figures mean nothing then."""
        return self.metric != NOT_MEASURED
