"""What a round measured, as `round.json` keeps it: the key `details` of a `RoundRecord`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from pydantic import Field, JsonValue, ValidationError

from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.refinement.gate.drift import Drift
from fld_engine.refinement.gate.gate import GateDecision
from fld_engine.refinement.gate.measured import EditsMeasured, Measured
from fld_engine.refinement.gate.sparse_gate import SparseGate
from fld_engine.refinement.labels.ledger import Unit, What
from fld_engine.refinement.merge.calibration import Calibration
from fld_engine.schemas.annotations import Frozen, Granularity
from fld_engine.schemas.errors import RootError

Details = TypeVar("Details", bound=Frozen)


class InitialDetails(Frozen):
    """Of round 0: the number of gold images."""

    num_gold: int


class SparseDetails(Frozen):
    """Of a specialist of sparse texts: its gates, and by granularity the texts it learned from and those it added.

    `dropped` counts its texts that filters dropped, by reason.
    """

    gates: tuple[SparseGate, ...]
    learned: Mapping[Granularity, int]
    written: Mapping[Granularity, int]
    dropped: Mapping[str, int]


class RoundDetails(Frozen):
    """Of every later round: decisions, curves, figures, the number of edits by what they did, and drift.

    `not_asked` counts the labels of each unit that no student could be asked about, which are no edits for that. It is
    absent where there are none; `sparse` is there for the round of a specialist alone.
    """

    gates: tuple[GateDecision, ...]
    calibrations: tuple[Calibration, ...] = ()
    measured: tuple[Measured, ...] = ()
    edits: Mapping[What, int]
    edits_measured: tuple[EditsMeasured, ...] = ()
    drift: tuple[Drift, ...] = ()
    not_asked: Mapping[Unit, int] = Field(default_factory=dict)
    sparse: SparseDetails | None = None

    @property
    def num_edits(self) -> int:
        return sum(self.edits.values())

    def as_json(self) -> dict[str, JsonValue]:
        """As a `RoundRecord` takes it."""
        found: dict[str, JsonValue] = self.model_dump(mode="json")
        for name in ("not_asked", "sparse"):
            if not found[name]:
                del found[name]
        return found


def initial_details(record: RoundRecord) -> InitialDetails:
    """Of round 0. Raises `RootError` where its record has others."""
    return _parse(record, InitialDetails)


def round_details(record: RoundRecord) -> RoundDetails:
    """Of a round from 1 on. Raises `RootError` where its record has others."""
    return _parse(record, RoundDetails)


def _parse(record: RoundRecord, kind: type[Details]) -> Details:
    try:
        return kind.model_validate(record.details)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise RootError(
            f"the details of round {record.number} cannot be read: {'; '.join(lines)}; they were written by another "
            "version of fld-engine: refine a copy of the root again"
        ) from None
