"""Give what failed another chance.

Of an annotator's output, the done images keep their rows and models run on the failed ones alone. Images that were
refused under limits that have changed are looked at again with the chunk of the source that they are in.
"""

from __future__ import annotations

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.data.records import OutputRecord, record_path
from fld_engine.engine.plan.plan import REMADE, REPLAYED, Plan
from fld_engine.engine.plan.registry import stages_of_run
from fld_engine.engine.stages.ingest.again import REPLAY, Replay, refused_before
from fld_engine.engine.stages.ingest.gone import file_uris, files_of
from fld_engine.engine.stages.ingest.ingest import listed_chunks


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


def mark_refused(plan: Plan) -> int:
    """Have the next ingest read the chunks again that hold images refused under other limits; returns their number.

    Raises `SourceError` where there are such images and a source cannot be listed.
    """
    journal = read_journal(plan.store)
    wanted: dict[str, list[int]] = {}
    for number, row in enumerate(refused_before(plan.store, plan.config, journal)):
        for uri in files_of(row["uri"]):
            wanted.setdefault(uri, []).append(number)
    if not wanted:
        return 0
    chunks: set[str] = set()
    found: set[int] = set()
    for source in listed_chunks(plan.store, plan.config, journal):
        for one in source:
            mine = {number for uri in file_uris(one.chunk) for number in wanted.get(uri, ())}
            if mine:
                chunks.add(one.name)
                found |= mine
    if chunks:
        plan.store.write_model(REPLAY, Replay(after=len(journal), chunks=tuple(sorted(chunks))))
    return len(found)


def is_unfinished(plan: Plan) -> bool:
    """Whether something was marked, and the root is not complete since: a replay was interrupted."""
    names = (name for step in plan.steps for name in plan.store.list_names(f"stages/{step}"))
    marked = plan.store.exists(REPLAY) or any(mark in name for name in names for mark in (REPLAYED, REMADE))
    return marked and not all(stage.is_current(plan) for stage in stages_of_run(plan.config))
