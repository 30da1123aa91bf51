"""Take images out of everything a root holds. Killed anywhere and run again, it ends with the same files.

What names an image's place in the others comes last: the journal of ingests, newest first, because an older one knows
the URIs that a newer one's quarantine may speak of.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ValidationError

from fld_engine.engine.data.journal import IngestRecord, read_journal, read_partitions
from fld_engine.engine.data.records import FileRecord, OutputRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tombstones import PendingRemoval, add_tombstones
from fld_engine.engine.stages.export.companions import energon_index, sample_table
from fld_engine.engine.stages.export.manifest import IDX, SHARDS
from fld_engine.engine.stages.export.publish import withdraw_manifest
from fld_engine.engine.stages.export.stage import FOLDER
from fld_engine.engine.stages.export.task import GroupResult
from fld_engine.engine.stages.removal.rewrite import (
    Tick,
    mentions,
    renamed,
    rewrite_output,
    rewrite_partition,
    rewrite_tables,
    without,
)

ANSWERS = "answers"
KEPT_BY_IMAGE = ("gallery", "ledger")
"""Folders whose files carry an image's id in their path, or have it as `image_id` in a table."""
RECOMPUTED = ("verdicts", "coverage", "report")
"""Steps that are arithmetic: their outputs are deleted and made again."""
RECORDS = "stages/export"
MADE_FROM_ALL = ("stages/report-merge", "report", "coco", "exports", "rounds")
"""Folders over all partitions, deleted whole: the next report, export beside the main one, or refinement writes them
again. Students of a round have learned from the images that go, so all rounds go with them."""


def purge(store: Store, pending: PendingRemoval, tick: Tick) -> None:
    """Remove every trace of the images but their ids, and leave the root as one whose export is to be made again."""
    add_tombstones(store, pending.ids)
    tick()
    _purge_export(store, pending, tick)
    _purge_kept_by_image(store, pending, tick)
    for folder in MADE_FROM_ALL:
        store.delete_folder(folder)
        tick()
    for step in sorted(store.list_names("stages") - {"export"}):
        _purge_step(store, step, pending, tick)
    _purge_scans(store, pending, tick)
    _purge_ingests(store, pending, tick)
    _sweep_ingested(store, tick)


def _purge_export(store: Store, pending: PendingRemoval, tick: Tick) -> None:
    """Delete the shards of the groups that held an image, and those that no group's record knows."""
    out = Store(f"{store.url}/{FOLDER}")
    withdraw_manifest(out)
    tick()
    for path in (sample_table.PATH, energon_index.PATH):
        out.delete(path)
        tick()
    shards: set[str] = set()
    indexes: set[str] = set()
    names = store.list_names(RECORDS)
    for name in sorted(n for n in names if n.endswith(".json")):
        group = _read_group(store, f"{RECORDS}/{name}")
        if group is None or set(group.partitions) & set(pending.partitions):
            store.delete(f"{RECORDS}/{name}")
            tick()
        else:
            shards |= {full for shard in group.shards for full in (shard.name, shard.name + IDX)}
            indexes.add(group.index.path.rsplit("/", 1)[-1])
    unknown = {n for n in store.list_names(f"{FOLDER}/{SHARDS}") - shards if n.endswith((".tar", IDX, ".tmp"))}
    _delete_all(store, f"{FOLDER}/{SHARDS}", sorted(unknown), tick)
    _delete_all(store, RECORDS, sorted(n for n in names - indexes if not n.endswith(".json")), tick)


def _read_group(store: Store, path: str) -> GroupResult | None:
    """The record of a group; `None` for one of another version, which nothing goes by any more."""
    try:
        group: GroupResult = store.read_model(path, GroupResult)
    except ValidationError:
        return None
    return group


def _purge_kept_by_image(store: Store, pending: PendingRemoval, tick: Tick) -> None:
    for annotator in sorted(store.list_names(ANSWERS)):
        for identity in sorted(store.list_names(f"{ANSWERS}/{annotator}") & set(pending.ids)):
            store.delete_folder(f"{ANSWERS}/{annotator}/{identity}")
            tick()
    for folder in KEPT_BY_IMAGE:
        for path in sorted(str(p)[len(store.base) + 1 :] for p in store.fs.find(store.path(folder))):
            if any(identity in path for identity in pending.ids) or _unfinished(path):
                store.delete(path)
                tick()
            elif path.endswith(".parquet"):
                table = store.read_table(path)
                if "image_id" in table.schema.names and mentions(table, pending.ids):
                    store.write_table(path, without(table, pending.ids))
                    tick()


def _purge_step(store: Store, step: str, pending: PendingRemoval, tick: Tick) -> None:
    """Rewrite the outputs of the partitions that held an image, under any config that the root ever ran with."""
    folder = f"stages/{step}"
    mine = {n for n in store.list_names(folder) if n.split("-")[0] in pending.partitions}
    records = sorted(n for n in mine if n.endswith(".json") and not n.endswith(".aggregate.json"))
    if step in RECOMPUTED:
        _delete_all(store, folder, [*records, *(mine - set(records))], tick)
        return
    used = set(records)
    for name in records:
        output: OutputRecord = rewrite_output(store, f"{folder}/{name}", pending.ids, pending.attempt, tick)
        used |= {file.path.rsplit("/", 1)[-1] for file in output.files.values()}
    unused = {n for n in mine - used if n.endswith(".parquet") or _unfinished(n)}
    _delete_all(store, folder, unused, tick)


def _purge_scans(store: Store, pending: PendingRemoval, tick: Tick) -> None:
    """Delete the working tables of ingests: those of finished ones are never read again, others are made again."""
    finished = {f"{ingest.number:06d}" for ingest in read_journal(store)}
    for folder in sorted(n for n in store.list_names("ingest") if not n.endswith(".json")):
        if _unfinished(folder):
            store.delete(f"ingest/{folder}")
        elif folder not in finished or _scanned(store, f"ingest/{folder}", pending.ids):
            store.delete_folder(f"ingest/{folder}")
            tick()


def _scanned(store: Store, folder: str, ids: Iterable[str]) -> bool:
    """Whether a scan of the folder found one of these images; or where one was left half deleted."""
    names = store.list_names(folder)
    scans = [n for n in names if n.endswith(".scan.parquet")]
    half_deleted = not any(n.startswith("matches-") for n in names) or any(_unfinished(n) for n in names)
    return half_deleted or any(mentions(store.read_table(f"{folder}/{name}", ["id"]), set(ids)) for name in scans)


def _purge_ingests(store: Store, pending: PendingRemoval, tick: Tick) -> None:
    journal = read_journal(store)
    partitions = read_partitions(journal)
    uris: set[str] = set()
    for record in partitions:
        if record.id in pending.partitions:
            for files in (record.files, *record.additions):
                table = store.read_table(files["images"].path, ["id", "uris"])
                uris |= {uri for row in table.to_pylist() if row["id"] in pending.ids for uri in row["uris"]}
    fingerprints = {record.id: record.annotations_fingerprint for record in partitions}
    for ingest in reversed(journal):
        rewritten = _without(store, ingest, pending, uris, fingerprints, tick)
        if rewritten != ingest:
            store.write_model(f"ingest/{ingest.number:06d}.json", rewritten)
            tick()


def _without(
    store: Store,
    ingest: IngestRecord,
    pending: PendingRemoval,
    uris: Iterable[str],
    fingerprints: dict[str, str],
    tick: Tick,
) -> IngestRecord:
    """The journal of an ingest with its files rewritten; its counts say what was found then, and stay."""
    additions = []
    for addition in ingest.additions:
        if addition.partition in pending.partitions:
            files = rewrite_tables(store, addition.files, pending.ids, pending.attempt, tick)
            known = {"files": files, "annotations_fingerprint": fingerprints[addition.partition]}
            addition = addition.model_copy(update=known)
        additions.append(addition)
    partitions = [
        rewrite_partition(store, record, pending.ids, pending.attempt, tick)
        if record.id in pending.partitions
        else record
        for record in ingest.partitions
    ]
    quarantine = _rewrite_quarantine(store, ingest.quarantine, uris, pending.attempt)
    tick()
    return ingest.model_copy(
        update={"partitions": tuple(partitions), "additions": tuple(additions), "quarantine": quarantine}
    )


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
    used = {ingest.quarantine.path for ingest in journal}
    for record in read_partitions(journal):
        used |= {file.path for files in (record.files, *record.additions) for file in files.values()}
    for folder in ("partitions", "quarantine"):
        unused = [name for name in store.list_names(folder) if f"{folder}/{name}" not in used]
        _delete_all(store, folder, unused, tick)


def _delete_all(store: Store, folder: str, names: Iterable[str], tick: Tick) -> None:
    """In the order given, which may matter: a record goes before what it speaks of."""
    for name in names:
        store.delete(f"{folder}/{name}")
        tick()


def _unfinished(name: str) -> bool:
    """Temporary files that a killed writer left."""
    return name.endswith(".tmp")
