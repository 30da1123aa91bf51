"""Give failed images another chance: the done ones keep their rows, models run on the failed ones alone."""

from __future__ import annotations

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.records import OutputRecord, record_path
from fld_engine.engine.plan.plan import REPLAYED, Plan


def mark_failed(plan: Plan) -> int:
    """Mark every annotator output with failed images as replayed; returns the number of failed images.

    The mark names the fingerprint of the output that will stand in for it; the next run writes that output, and all
    that depends on it.
    """
    marked = 0
    for step in plan.graph.order:
        missing = {record.id for record in plan.missing(step)}
        for record in plan.partitions:
            if record.id in missing:
                continue
            old = plan.fingerprints[step, record.id]
            output: OutputRecord = plan.store.read_model(record_path(step, record.id, old), OutputRecord)
            if output.failed:
                new = fingerprint({"replays": old})
                plan.store.write_bytes(f"stages/{step}/{record.id}-{old}{REPLAYED}{new}", b"")
                marked += output.failed
    return marked
