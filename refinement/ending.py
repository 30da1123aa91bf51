"""Why a refinement ends before all its rounds are done."""

from __future__ import annotations

from engine.rounds import RoundRecord


def why_not_begin(first: RoundRecord) -> str:
    """Why there should be no round at all; empty where there should. `first` is round 0."""
    if any(name in partition.unseen.files for partition in first.partitions for name in ("regions", "texts")):
        return ""
    return "there is no region and no text to learn from: the specialists found nothing, or the filters kept nothing"


def why_stop(record: RoundRecord) -> str:
    """Why there should be no further round; empty where there should."""
    drifts = [drift for drift in record.details["drift"] if not drift["within"]]
    if not any(gate.accepted for gate in record.gates):
        reasons = "; ".join(f"{gate['unit']}: {gate['why']}" for gate in record.details["gates"])
        return f"round {record.number} made nothing better, and its labels are those of the round before ({reasons})"
    if drifts:
        figures = ", ".join(drift["figure"] for drift in drifts)
        return f"the labels of round {record.number} drifted beyond the limits of `refine.drift`: {figures}"
    return ""
