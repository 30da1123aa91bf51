"""The driver's side of a removal: what is asked for, whether it is there, and what became of the shards."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fld_engine.engine.data.forgetting import Tick
from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.store import Store
from fld_engine.engine.data.tombstones import PENDING, PendingRemoval, attempt_name, read_pending, read_tombstones
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.stages import Publication, Publishes
from fld_engine.engine.stages.removal.purge import purge, undeclared
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError

MAX_NAMED = 20
"""Ids that an error names; it counts the rest."""
_ID = re.compile(r"[0-9a-f]{32}")


class RemovalReport(Frozen):
    """What a removal did. `removed` are the ids it took away, `before` those of the list that were gone already.

    `shards_*` compare the export with the one before, by name and sha256. Where `exported` is false, the export is to
    be completed by a run: it was never finished, or annotators have work left under this config.
    """

    removed: tuple[str, ...]
    before: int
    partitions: tuple[str, ...]
    shards_changed: tuple[str, ...]
    shards_removed: tuple[str, ...]
    shards_added: tuple[str, ...]
    samples: int
    exported: bool


def parse_ids(text: str, *, where: str) -> tuple[str, ...]:
    """One image id a line; empty lines and what follows a `#` do not count. Raises `ConfigError`."""
    lines = [line.split("#")[0].strip().lower() for line in text.splitlines()]
    ids = tuple(sorted({line for line in lines if line}))
    if not ids:
        raise ConfigError(f"{where} names no image: expected one id a line, 32 hex digits each")
    if wrong := [one for one in ids if not _ID.fullmatch(one)]:
        raise ConfigError(f"{where}: {_named(wrong)} is no image id; expected 32 hex digits, such as a sample's name")
    return ids


def begin(store: Store, ids: Iterable[str]) -> PendingRemoval | None:
    """Note what is to be removed; `None` where all of it is gone already.

    Raises `ConfigError` naming the ids that the root does not have and never removed, `RootError` where something in
    the root cannot be searched for them; nothing is done then.
    """
    gone = read_tombstones(store)
    wanted = set(ids) - gone
    holders: dict[str, str] = {}
    for record in read_partitions(read_journal(store)):
        for identity in store.read_table(record.files["images"].path, ["id"])["id"].to_pylist():
            if identity in wanted:
                holders[identity] = record.id
    if unknown := sorted(wanted - holders.keys()):
        raise ConfigError(
            f"{store.url} has no image {_named(unknown)}; nothing was removed: take these off the list, or see the "
            "samples' names for the ids of images"
        )
    earlier = read_pending(store)
    if not wanted:
        return earlier
    undeclared(store)
    published = _published(store)
    pending = PendingRemoval(
        ids=tuple(sorted(wanted | set(earlier.ids if earlier else ()))),
        partitions=tuple(sorted({*holders.values(), *(earlier.partitions if earlier else ())})),
        attempt=attempt_name(gone | wanted),
        shards=earlier.shards if earlier else published.files if published else {},
        had_export=earlier.had_export if earlier else published is not None,
    )
    store.publish_model(PENDING, pending)
    return pending


def is_unfinished(store: Store) -> bool:
    """Whether a removal was begun whose traces are not all gone."""
    pending = read_pending(store)
    return pending is not None and not pending.purged


def resume(store: Store, tick: Tick) -> None:
    """Carry a removal that was begun through to where no trace is left; the export may still be to be made."""
    pending = read_pending(store)
    if pending is not None and not pending.purged:
        purge(store, pending, tick)
        store.publish_model(PENDING, pending.model_copy(update={"purged": True}))
        tick()


def report(store: Store, asked: Iterable[str], pending: PendingRemoval | None, *, exported: bool) -> RemovalReport:
    """Compare the export as it is now with the one before."""
    removed = set(pending.ids if pending else ())
    before = dict(pending.shards) if pending else {}
    published = _published(store) if pending else None
    now = dict(published.files) if published else {}
    return RemovalReport(
        removed=tuple(sorted(removed)),
        before=len(set(asked) - removed),
        partitions=pending.partitions if pending else (),
        shards_changed=tuple(sorted(n for n in before.keys() & now.keys() if before[n] != now[n])),
        shards_removed=tuple(sorted(before.keys() - now.keys())),
        shards_added=tuple(sorted(now.keys() - before.keys())),
        samples=published.samples if published and exported else 0,
        exported=exported,
    )


def _published(store: Store) -> Publication | None:
    """What all stages give out of the root; `None` where they never did."""
    found = [stage.published(store) for stage in installed_stages() if isinstance(stage, Publishes)]
    given = [publication for publication in found if publication is not None]
    if not given:
        return None
    files = {name: digest for publication in given for name, digest in publication.files.items()}
    return Publication(files=files, samples=sum(publication.samples for publication in given))


def _named(ids: list[str]) -> str:
    rest = len(ids) - MAX_NAMED
    return ", ".join(ids[:MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
