"""Which group's shards lie in a folder of exports, without reading them.

Shards of two configs can have the same names and sizes. So the folder's state is marked, by empty files beside the
records of groups: `g00000-FINGERPRINT.in-FOLDER` says that the shards of group 0 there are those of that record. The
mark goes before a shard of the group is written over, and comes back once they are all written; a finished export says
the same by its manifest, which roots without marks go by.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import cached_property

from pydantic import ValidationError

from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.forget import RECORDS
from fld_engine.engine.stages.export.manifest import MANIFEST, Manifest, ShardRecord

MARK = ".in-"


class Placed:
    """What lies in a folder of exports, as marks among the names of `stages/export` and its manifest say."""

    def __init__(self, store: Store, folder: str, names: Collection[str]) -> None:
        self._store, self._folder, self._names = store, folder, names

    def holds(self, record: str, shards: Iterable[ShardRecord]) -> bool:
        """Whether the shards of a group's record are those in the folder, given that their names and sizes agree."""
        mark = _mark(record, self._folder).rsplit("/", 1)[-1]
        return mark in self._names or all(self._listed.get(shard.name) == shard.sha256 for shard in shards)

    @cached_property
    def _listed(self) -> dict[str, str]:
        """Shard -> sha256 by the manifest; empty where none stands."""
        try:
            manifest: Manifest = self._store.read_model(f"{self._folder}/{MANIFEST}", Manifest)
        except (FileNotFoundError, ValidationError):
            return {}
        return {shard.name: shard.sha256 for shard in manifest.shards}


def clear_marks(store: Store, folder: str, groups: Collection[int]) -> None:
    """Say that shards of these groups are about to be written over in a folder."""
    ending = _mark("", folder)
    for name in sorted(store.list_names(RECORDS)):
        if name.endswith(ending) and int(name[1:].split("-")[0]) in groups:
            store.delete(f"{RECORDS}/{name}")


def mark_placed(store: Store, folder: str, record: str) -> None:
    """Say that the shards of a group's record are written in a folder."""
    store.write_bytes(_mark(record, folder), b"")


def forget_records(store: Store, records: Collection[str]) -> None:
    """Let groups be written again in every folder: in one they may get other bytes under the same name."""
    stems = tuple(record.removesuffix(".json") + MARK for record in records)
    for name in sorted(store.list_names(RECORDS)):
        if f"{RECORDS}/{name}".startswith(stems):
            store.delete(f"{RECORDS}/{name}")
    for record in records:
        store.delete(record)


def _mark(record: str, folder: str) -> str:
    return record.removesuffix(".json") + MARK + folder.replace("/", "+")
