"""Take images out of the shards: the groups that held one are written again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from pydantic import ValidationError

from fld_engine.engine.data.forgetting import delete_all
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.stages import Removal
from fld_engine.engine.stages.export.companions import energon_index, sample_table
from fld_engine.engine.stages.export.manifest import IDX, SHARDS
from fld_engine.engine.stages.export.publish import withdraw_manifest
from fld_engine.engine.stages.export.task import GroupResult

FOLDER = "export"
RECORDS = "stages/export"


def forget_exported(store: Store, removal: Removal, tick: Callable[[], None]) -> None:
    """Delete the shards of the groups that held an image, and those that no group's record knows."""
    out = store.within(FOLDER)
    withdraw_manifest(out)
    tick()
    for path in (sample_table.PATH, energon_index.PATH):
        out.delete(path)
        tick()
    shards: set[str] = set()
    kept: set[str] = set()  # of the records' companions
    names = store.list_names(RECORDS)
    marks: dict[str, list[str]] = defaultdict(list)  # by the stem of their record
    for name in names:
        marks[name.split(".")[0]].append(name)
    for name in sorted(n for n in names if n.endswith(".json")):
        group = read_group(store, f"{RECORDS}/{name}")
        if group is None or set(group.partitions) & set(removal.partitions):
            store.delete(f"{RECORDS}/{name}")
            tick()
        else:
            shards |= {full for shard in group.shards for full in (shard.name, shard.name + IDX)}
            kept |= {group.index.path.rsplit("/", 1)[-1], *marks[name.split(".")[0]]}
    unknown = {n for n in store.list_names(f"{FOLDER}/{SHARDS}") - shards if n.endswith((".tar", IDX, ".tmp"))}
    delete_all(store, f"{FOLDER}/{SHARDS}", sorted(unknown), tick)
    delete_all(store, RECORDS, sorted(n for n in names - kept if not n.endswith(".json")), tick)


def read_group(store: Store, path: str) -> GroupResult | None:
    """The record of a group; `None` for one of another version, which nothing goes by any more."""
    try:
        group: GroupResult = store.read_model(path, GroupResult)
    except ValidationError:
        return None
    return group
