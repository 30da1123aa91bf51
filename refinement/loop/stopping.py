"""Why a refinement stops before all its rounds are done."""

from __future__ import annotations

from collections.abc import Set

from fld_engine.engine.plan.rounds import RoundRecord
from fld_engine.refinement.labels.folds import EVERY_FOLD
from fld_engine.refinement.loop.details import round_details


def why_not_teach(folds: Set[int]) -> str:
    """Why there should be no further round, given the `folds` with images to learn from; empty where there should.

    The student of a fold learns from all others, so one fold alone leaves its student with nothing. `EVERY_FOLD` has a
    student that learns from everything.
    """
    if not folds:
        return (
            "there is no region and no text to learn from: the specialists found nothing, the filters kept nothing, or "
            "all there is stands on gold images, of which no student learns"
        )
    if len(folds) == 1 and EVERY_FOLD not in folds:
        (fold,) = folds
        return (
            f"the student of fold {fold} has nothing to learn from: all images with a label, gold left out, are of "
            "that fold (near-twins are of the same); add images, or set `refine.rules.in_sample: true`"
        )
    return ""


def why_stop(record: RoundRecord) -> str:
    """Why there should be no further round; empty where there should."""
    details = round_details(record)
    drifts = [drift for drift in details.drift if not drift.within]
    if not any(gate.accepted for gate in record.gates):
        reasons = "; ".join(f"{gate.unit}: {gate.why}" for gate in details.gates)
        return f"round {record.number} made nothing better, and its labels are those of the round before ({reasons})"
    if drifts:
        figures = ", ".join(drift.figure for drift in drifts)
        return f"the labels of round {record.number} drifted beyond the limits of `refine.drift`: {figures}"
    return ""
