"""What ingests left in a root that nothing goes by any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from fld_engine.engine.data.journal import IngestRecord, read_partitions
from fld_engine.engine.plan.leftovers import Leftover


def ingest_leftovers(journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterator[Leftover]:
    """Working tables of finished ingests, and files of partitions and of the quarantine that no journal names.

    Where an ingest has begun and not ended, the next run goes on with what it has: then no such file is left over.
    """
    finished = {f"{ingest.number:06d}" for ingest in journal}
    working = {path: path.split("/")[1] for path in files if path.startswith("ingest/") and path.count("/") > 1}
    for path, number in sorted(working.items()):
        if number in finished:
            yield Leftover(path, "unused")
    if set(working.values()) - finished:
        return
    named = {file.path for ingest in journal for file in (ingest.quarantine, ingest.again) if file is not None}
    for record in read_partitions(journal):
        named |= {file.path for group in (record.files, *record.additions) for file in group.values()}
    for path in sorted(files):
        if path.startswith(("partitions/", "quarantine/")) and path not in named:
            yield Leftover(path, "unfinished")
