"""Take images out of everything that stages left in a root. Killed anywhere and run again, it ends with the same files.

What that is, the stages say (`engine.plan.keeps.Holding`), also those that are not installed any more. Folders that
nobody declared are swept by their column `image_id`, or refused before anything is done.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable

import pyarrow.parquet as pq

from fld_engine.engine.data.forgetting import Tick, delete_all, mentions, rewrite_output, unfinished, without
from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tombstones import PendingRemoval, add_tombstones
from fld_engine.engine.plan import holdings
from fld_engine.engine.plan.holdings import Declared, declared
from fld_engine.engine.plan.keeps import Holding
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.stages import Forgets, Removal
from fld_engine.schemas.errors import RootError

_FOLDER_OF_IMAGE = re.compile(r"[0-9a-f]{32}")


def purge(store: Store, pending: PendingRemoval, tick: Tick) -> None:
    """Remove every trace of the images but their ids, and leave the root as one whose export is to be made again."""
    add_tombstones(store, pending.ids)
    tick()
    kept = declared(store)
    forgetful = {stage.name: stage for stage in installed_stages() if isinstance(stage, Forgets)}
    named = _named(kept.values())
    for one in kept.values():
        for holding in one.holdings:
            for folder in _folders(store, holding, named):
                _forget(store, holding, folder, pending, tick)
        if one.stage in forgetful:
            forgetful[one.stage].forget(store, pending, tick)
    for folder in undeclared(store):
        _sweep(store, folder, pending, tick)


def undeclared(store: Store) -> list[str]:
    """Folders that no stage declared, each to be swept by its column `image_id`.

    Raises `RootError` where that is not possible: nobody can tell what such a folder holds of an image. Likewise for a
    stage that must forget by itself and is not installed.
    """
    kept = declared(store)
    installed = {stage.name for stage in installed_stages()}
    for one in kept.values():
        own = [holding.glob for holding in one.holdings if holding.how == "own"]
        if own and one.stage not in installed:
            raise RootError(
                f"{store.url} has {', '.join(own)} of stage {one.stage!r}, which is not installed here and must take "
                "images out of them by itself; install its package, or delete these folders"
            )
    known = {holding.glob.split("/")[0] for one in kept.values() for holding in one.holdings}
    found = sorted(store.list_folders("") - known - {holdings.FOLDER})
    if blind := [folder for folder in found if not _has_image_ids(store, folder)]:
        raise RootError(
            f"{store.url} has folders of which no stage says what they hold of an image: {', '.join(blind)}; delete "
            "them or move them away, and remove again"
        )
    return found


def _named(kept: Iterable[Declared]) -> set[str]:
    return {holding.glob for one in kept for holding in one.holdings if "*" not in holding.glob}


def _folders(store: Store, holding: Holding, named: Collection[str]) -> list[str]:
    """Folders of a holding; what `*` stands for leaves out those that have a holding of their own."""
    parent, star, _ = holding.glob.partition("/*")
    if not star:
        return [holding.glob]
    return [folder for name in sorted(store.list_names(parent)) if (folder := f"{parent}/{name}") not in named]


def _forget(store: Store, holding: Holding, folder: str, removal: Removal, tick: Tick) -> None:
    match holding.how:
        case "whole":
            store.delete_folder(folder)
            tick()
        case "by_image":
            _forget_by_image(store, folder, removal, tick)
        case "derived":
            mine = _of_partitions(store, folder, removal)
            records = _records(mine)
            delete_all(store, folder, [*records, *(mine - set(records))], tick)
        case "rewrite":
            _rewrite(store, folder, removal, tick)
        case "own":
            pass


def _forget_by_image(store: Store, folder: str, removal: Removal, tick: Tick) -> None:
    """Delete the folders and files of these images, and take their rows out of tables."""
    names = store.list_names(folder)
    for identity in sorted(names & set(removal.ids)):
        store.delete_folder(f"{folder}/{identity}")
        tick()
    if names and all(_FOLDER_OF_IMAGE.fullmatch(name) for name in names):
        return
    for path in store.list_below(folder):
        if any(identity in path for identity in removal.ids) or unfinished(path):
            store.delete(path)
            tick()
        elif path.endswith(".parquet"):
            table = store.read_table(path)
            if "image_id" in table.schema.names and mentions(table, removal.ids):
                store.write_table(path, without(table, removal.ids))
                tick()


def _rewrite(store: Store, folder: str, removal: Removal, tick: Tick) -> None:
    """Rewrite the outputs of the partitions that held an image, under any config that the root ever ran with."""
    mine = _of_partitions(store, folder, removal)
    records = _records(mine)
    used = set(records)
    for name in records:
        output: OutputRecord = rewrite_output(store, f"{folder}/{name}", removal.ids, removal.attempt, tick)
        used |= {file.path.rsplit("/", 1)[-1] for file in output.files.values()}
    unused = {name for name in mine - used if name.endswith(".parquet") or unfinished(name)}
    delete_all(store, folder, unused, tick)


def _sweep(store: Store, folder: str, removal: Removal, tick: Tick) -> None:
    """Take rows out of the tables of a folder that nobody declared."""
    for path in store.list_below(folder):
        table = store.read_table(path)
        if mentions(table, removal.ids):
            store.write_table(path, without(table, removal.ids))
            tick()


def _of_partitions(store: Store, folder: str, removal: Removal) -> set[str]:
    return {name for name in store.list_names(folder) if name.split("-")[0] in removal.partitions}


def _records(names: Collection[str]) -> list[str]:
    return sorted(name for name in names if name.endswith(".json") and not name.endswith(".aggregate.json"))


def _has_image_ids(store: Store, folder: str) -> bool:
    """Whether all files of a folder are tables that name images."""
    return all(
        path.endswith(".parquet") and "image_id" in pq.read_schema(io.BytesIO(store.read_bytes(path))).names
        for path in store.list_below(folder)
    )
