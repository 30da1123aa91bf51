"""Take images out of partitions, their journal and what scans left.

The journal goes last, newest first, because an older one knows the URIs that a newer one's quarantine may speak of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.forgetting import (
    Tick,
    delete_all,
    mentions,
    renamed,
    rewrite_partition,
    rewrite_tables,
    unfinished,
)
from fld_engine.engine.data.journal import IngestRecord, read_journal, read_partitions
from fld_engine.engine.data.records import FileRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.stages import Removal


def forget_ingested(store: Store, removal: Removal, tick: Callable[[], None]) -> None:
    """Take images out of everything that ingests wrote. Killed anywhere and run again, it ends with the same files."""
    _purge_scans(store, removal, tick)
    _purge_ingests(store, removal, tick)
    _sweep_ingested(store, tick)


def _purge_scans(store: Store, removal: Removal, tick: Tick) -> None:
    """Delete the working tables of ingests: those of finished ones are never read again, others are made again."""
    finished = {f"{ingest.number:06d}" for ingest in read_journal(store)}
    for folder in sorted(n for n in store.list_names("ingest") if not n.endswith(".json")):
        if unfinished(folder):
            store.delete(f"ingest/{folder}")
        elif folder not in finished or _scanned(store, f"ingest/{folder}", removal.ids):
            store.delete_folder(f"ingest/{folder}")
            tick()


def _scanned(store: Store, folder: str, ids: Iterable[str]) -> bool:
    """Whether a scan of the folder found one of these images; or where one was left half deleted.

    A later ingest wrote which files there were, and which places were gone: it is not asked whose these are.
    """
    names = store.list_names(folder)
    if any(name.startswith(("listed-", "gone-")) for name in names):
        return True
    scans = [n for n in names if n.endswith(".scan.parquet")]
    half_deleted = not any(n.startswith("matches-") for n in names) or any(unfinished(n) for n in names)
    return half_deleted or any(mentions(store.read_table(f"{folder}/{name}", ["id"]), set(ids)) for name in scans)


def _purge_ingests(store: Store, removal: Removal, tick: Tick) -> None:
    journal = read_journal(store)
    partitions = read_partitions(journal)
    uris: set[str] = set()
    for record in partitions:
        if record.id in removal.partitions:
            for files in (record.files, *record.additions):
                table = store.read_table(files["images"].path, ["id", "uris"])
                uris |= {uri for row in table.to_pylist() if row["id"] in removal.ids for uri in row["uris"]}
    for number, ingest in reversed(list(enumerate(journal, start=1))):
        so_far = read_partitions(journal[:number])
        fingerprints = {record.id: record.annotations_fingerprint for record in so_far}
        rewritten = _without(store, ingest, removal, uris, fingerprints, tick)
        if rewritten != ingest:
            store.publish_model(f"ingest/{ingest.number:06d}.json", rewritten)
            tick()


def _without(
    store: Store,
    ingest: IngestRecord,
    removal: Removal,
    uris: Iterable[str],
    fingerprints: dict[str, str],
    tick: Tick,
) -> IngestRecord:
    """The journal of an ingest with its files rewritten; its counts say what was found then, and stay."""
    additions = []
    for addition in ingest.additions:
        if addition.partition in removal.partitions:
            files = rewrite_tables(store, addition.files, removal.ids, removal.attempt, tick)
            known = {"files": files, "annotations_fingerprint": fingerprints[addition.partition]}
            addition = addition.model_copy(update=known)
        additions.append(addition)
    partitions = [
        rewrite_partition(store, record, removal.ids, removal.attempt, tick)
        if record.id in removal.partitions
        else record
        for record in ingest.partitions
    ]
    quarantine = _rewrite_quarantine(store, ingest.quarantine, uris, removal.attempt)
    again = _rewrite_quarantine(store, ingest.again, uris, removal.attempt) if ingest.again else None
    tick()
    rewritten = {"partitions": tuple(partitions), "additions": tuple(additions), "quarantine": quarantine}
    return ingest.model_copy(update={**rewritten, "again": again})


def _rewrite_quarantine(store: Store, file: FileRecord, uris: Iterable[str], attempt: str) -> FileRecord:
    table = store.read_table(file.path)
    gone = pa.array(sorted(uris), pa.string())
    about = pc.is_in(table["uri"], value_set=gone)
    if "of_image" in table.schema.names:
        about = pc.or_(about, pc.is_in(table["of_image"], value_set=gone))
    if not pc.any(about, min_count=0).as_py():
        return file
    return store.write_table(renamed(file.path, attempt), table.filter(pc.invert(about)))


def _sweep_ingested(store: Store, tick: Tick) -> None:
    """Delete what no journal knows: the files that were rewritten, and what killed workers left."""
    journal = read_journal(store)
    used = {file.path for ingest in journal for file in (ingest.quarantine, ingest.again) if file is not None}
    for record in read_partitions(journal):
        used |= {file.path for files in (record.files, *record.additions) for file in files.values()}
    for folder in ("partitions", "quarantine"):
        unused = [name for name in store.list_names(folder) if f"{folder}/{name}" not in used]
        delete_all(store, folder, unused, tick)
