from __future__ import annotations

from engine.rounds import RoundPartition, RoundRecord
from engine.store import FileRecord
from engine.tasks import PartitionRecord
from refinement.ending import why_not_begin, why_stop
from refinement.gate import GateRules, decide_gate, mean_measure


def first_round(*tables: str) -> RoundRecord:
    file = FileRecord(path="f", rows=1, num_bytes=1, sha256="")
    files = dict.fromkeys(("tar", "images", *tables), file)
    record = PartitionRecord(
        id="p000000", ingest=1, fingerprint="", annotations_fingerprint="", num_images=1, num_bytes=1, files=files
    )
    partition = RoundPartition(standing=record, unseen=record, ledger=file)
    return RoundRecord(number=0, fingerprint="", partitions=(partition,))


def test_nothing_begins_where_there_is_no_label_at_all() -> None:
    """A student would be trained on nothing, and fail; one family is enough to begin with."""
    assert "no region and no text to learn from" in why_not_begin(first_round())
    assert why_not_begin(first_round("texts")) == why_not_begin(first_round("regions")) == ""


def test_a_round_that_could_not_be_judged_says_why_it_is_the_last() -> None:
    nothing = mean_measure([], [])  # type: ignore[arg-type]
    gates = [decide_gate(unit, "m", nothing, 0, GateRules(), seed=0).model_dump() for unit in ("regions", "texts")]
    record = first_round().model_copy(update={"number": 1, "details": {"gates": gates, "drift": []}})
    assert "round 1 made nothing better" in why_stop(record)
    assert "nothing to judge regions by" in why_stop(record)
    assert "nothing to judge texts by" in why_stop(record)
