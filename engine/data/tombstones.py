"""What a root remembers of removed images: their ids, so that the same bytes never come back.

ROOT/
├── removed.json    ids of all removed images
└── removal.json    a removal that has begun; gone when the export is whole again
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen

TOMBSTONES = "removed.json"
PENDING = "removal.json"


class Tombstones(Frozen):
    """Ids of removed images, sorted."""

    ids: tuple[str, ...] = ()


class PendingRemoval(Frozen):
    """A removal that has begun: what it takes away, and what the export held before.

    `partitions` held the images. `attempt` names the files that are written instead of theirs: it depends on all ids
    ever removed, so that a removal that is interrupted and taken up again writes the same names. `shards` maps shard →
    sha256 of the export before, empty where none was finished; `had_export` says that there were shards. Once it is
    `purged`, nothing is left to do but the export.
    """

    ids: tuple[str, ...]
    partitions: tuple[str, ...]
    attempt: str
    shards: Mapping[str, str]
    had_export: bool
    purged: bool = False


def read_tombstones(store: Store) -> frozenset[str]:
    """Ids of all images that were ever removed from the root."""
    if not store.exists(TOMBSTONES):
        return frozenset()
    kept: Tombstones = store.read_model(TOMBSTONES, Tombstones)
    return frozenset(kept.ids)


def add_tombstones(store: Store, ids: Iterable[str]) -> None:
    store.publish_model(TOMBSTONES, Tombstones(ids=tuple(sorted(read_tombstones(store) | set(ids)))))


def attempt_name(ids: Iterable[str]) -> str:
    """Part of a file's name that says after which removals it was written."""
    return f"r{fingerprint({'removed': sorted(ids)})[:7]}"


def read_pending(store: Store) -> PendingRemoval | None:
    """The removal that was begun and not finished, if any."""
    if not store.exists(PENDING):
        return None
    pending: PendingRemoval = store.read_model(PENDING, PendingRemoval)
    return pending


def finish_removal(store: Store) -> None:
    """Called when the export is whole: nothing of a removal that is gone through is left to do."""
    pending = read_pending(store)
    if pending is not None and pending.purged:
        store.delete(PENDING)
