"""The driver's side: what images are looked up against, gathered from gold images and the lists of a config."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from fld_engine.engine.data.hashing import canonical_json, fingerprint
from fld_engine.engine.data.identity import identity_of
from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.partition import PartitionImages, read_output
from fld_engine.engine.data.records import FileRecord, PartitionRecord, record_path
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.exclude import GOLD, ExcludeList
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.stages.contamination.lists import part_fingerprint, parts_of
from fld_engine.engine.stages.contamination.state import (
    APPEARANCE,
    APPEARANCE_VERSION,
    CONTAMINATION,
    FOLDER,
    ListFacts,
    References,
)
from fld_engine.engine.stages.contamination.tables import (
    READING,
    REFERENCES,
    KeepViews,
    ListPart,
    ListResult,
    ReadList,
)
from fld_engine.schemas.errors import SourceError, TransportError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list and its parts by fingerprint; None for one that cannot be reached, and was read before."""

    settings: str
    parts: Mapping[str, ListPart | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the reference set is to be made of now, named by `made_from`."""

    partitions: Sequence[PartitionRecord]
    lists: Mapping[str, Listed]
    made_from: str


def wanted(config: RunConfig, partitions: Sequence[PartitionRecord], before: References | None) -> Wanted:
    """List the lists, and read nothing.

    Raises `SourceError` for a list that is not there. One that was read before, under the same settings, stands as it
    was: a root outlives the machines that its lists lie on.
    """
    lists = {one.name: _listed(one, before) for one in config.exclude}
    named = {
        "version": APPEARANCE_VERSION,
        "images": [[p.id, p.fingerprint, p.annotations_fingerprint] for p in partitions],
        "lists": [[name, list(one.parts)] for name, one in lists.items()],
    }
    return Wanted(partitions, lists, fingerprint(named))


def _listed(one: ExcludeList, before: References | None) -> Listed:
    settings = fingerprint(identity_of(one))
    known = before.lists.get(one.name) if before is not None else None
    try:
        parts = parts_of(one)
    except (SourceError, TransportError):
        if known is None or known.settings != settings:
            raise
        log.warning("exclude list %s cannot be reached; it stands as it was last read", one.name)
        return Listed(settings, dict.fromkeys(known.parts))
    return Listed(settings, {part_fingerprint(part): part for part in parts})


def gather(driver: Driver, want: Wanted) -> References:
    """Read what is new in the lists, and write the reference set.

    Raises `SourceError` for a list without an entry that can be used.
    """
    store = driver.store
    results = _read_lists(driver, want)
    tables = [_gold(driver, want.partitions)]
    lists = {GOLD: ListFacts(entries=tables[0].num_rows)} if tables[0].num_rows else {}
    for name, one in want.lists.items():
        mine = [results[part] for part in one.parts]
        tables += [store.read_table(result.file.path) for result in mine]
        lists[name] = _facts(name, one, mine)
    table = pa.concat_tables(tables).combine_chunks()
    names = _content(table)
    file: FileRecord | None = None
    if table.num_rows:
        file = store.write_table(f"{FOLDER}/references-{names}.parquet", table)
    return References(
        made_from=want.made_from,
        fingerprint=names,
        file=file,
        entries=table.num_rows,
        pictures=table["whole"].null_count < table.num_rows,
        lists=lists,
    )


# ------------------------------------------------------------------ gold


def _gold(driver: Driver, partitions: Sequence[PartitionRecord]) -> pa.Table:
    """The views of all gold images, in partition order."""
    store, limits = driver.store, driver.config.images
    gold = {}
    for record in partitions:
        table = PartitionImages(store, record, limits).table
        if uris := {row["id"]: row["uri"] for row in table.filter(table["gold"]).to_pylist()}:
            gold[record.id] = (record, uris)
    there = store.list_names(f"stages/{APPEARANCE}")
    missing = [
        record for record, _ in gold.values() if _name(views_path(record, limits)) not in there
    ]  # fmt: skip
    driver.record(views_lanes(store.url, missing, limits))
    rows: list[dict[str, Any]] = []
    for record, uris in gold.values():
        output = read_output(store, APPEARANCE, record.id, views_fingerprint(record, limits))
        rows += [
            {"list": GOLD, "entry": uris[row["image_id"]], "id": "", "phash": "", **_views(row)}
            for row in store.read_table(output.files["views"].path).to_pylist()
            if row["image_id"] in uris and row["whole"] is not None
        ]
    return pa.Table.from_pylist(rows, schema=REFERENCES)


def _views(row: Mapping[str, Any]) -> dict[str, Any]:
    return {"whole": row["whole"], "trimmed": row["trimmed"]}


def views_identity(partition: PartitionRecord, limits: ImageLimits) -> dict[str, Any]:
    """Everything that views of a partition depend on."""
    return {"version": APPEARANCE_VERSION, "images": identity_of(limits), "partition": partition.fingerprint}


def views_fingerprint(partition: PartitionRecord, limits: ImageLimits) -> str:
    return fingerprint(views_identity(partition, limits))


def views_path(partition: PartitionRecord, limits: ImageLimits) -> str:
    return record_path(APPEARANCE, partition.id, views_fingerprint(partition, limits))


def views_lanes(root: str, partitions: Sequence[PartitionRecord], limits: ImageLimits) -> list[Lane]:
    """Tasks that write the views of partitions."""
    tasks = [
        Task(
            stage=CONTAMINATION,
            root=root,
            label=record.id,
            units={APPEARANCE: record.num_images},
            payload=KeepViews(partition=record, images=limits, fingerprint=views_fingerprint(record, limits)),
        )
        for record in partitions
    ]
    return [Lane(name=APPEARANCE, resources=ARITHMETIC, tasks=tasks)] if tasks else []


# ------------------------------------------------------------------ lists


def _read_lists(driver: Driver, want: Wanted) -> dict[str, ListResult]:
    """What each part of a list has, by fingerprint; those that were read before are not read again."""
    store, folder = driver.store, f"{FOLDER}/lists"
    there = store.list_names(folder)
    parts = {name: part for one in want.lists.values() for name, part in one.parts.items()}
    tasks = [
        Task(
            stage=CONTAMINATION,
            root=store.url,
            label=f"{part.name} {name}",
            units={READING: 0},
            payload=ReadList(part=part, out=f"{folder}/{name}", images=driver.config.images),
        )
        for name, part in parts.items()
        if f"{name}.json" not in there and part is not None
    ]
    for task, result in driver.answers(Lane(name=READING, resources=ARITHMETIC, tasks=tasks), ListResult):
        assert isinstance(task.payload, ReadList), "the lane of lists ran another task"
        store.write_model(f"{task.payload.out}.json", result)
    return {name: store.read_model(f"{folder}/{name}.json", ListResult) for name in parts}


def _facts(name: str, listed: Listed, results: Sequence[ListResult]) -> ListFacts:
    unread = sum((Counter(result.unread) for result in results), Counter())
    entries = sum(result.file.rows for result in results)
    if not entries:
        raise SourceError(
            f"exclude list {name} has no entry that can be used (what could not be read, by reason: "
            f"{dict(unread) or 'nothing'}); such a list keeps nothing out: check its url, or take it out of `exclude`"
        )
    return ListFacts(
        entries=entries, settings=listed.settings, parts=tuple(listed.parts), unread=dict(sorted(unread.items()))
    )


# ------------------------------------------------------------------ what it holds


def _content(table: pa.Table) -> str:
    """Names a reference set by what it holds, whatever library wrote its file."""
    digest = hashlib.sha256()
    for row in table.to_pylist():
        views = [hashlib.sha256(row[name]).hexdigest() if row[name] else "" for name in ("whole", "trimmed")]
        digest.update(canonical_json([row["list"], row["entry"], row["id"], row["phash"], *views]).encode())
    return fingerprint({"entries": digest.hexdigest()})


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]
