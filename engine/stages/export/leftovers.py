"""What exports left in a root that nothing goes by any more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.leftovers import Leftover
from fld_engine.engine.stages.export.forget import RECORDS, read_group
from fld_engine.engine.stages.export.manifest import MANIFEST, SHARDS, Manifest
from fld_engine.engine.stages.export.placed import MARK, Placed
from fld_engine.engine.stages.export.publish import unlisted_shards


def export_leftovers(store: Store, files: Mapping[str, int]) -> Iterator[Leftover]:
    """Shards that no manifest lists, and records of groups whose shards lie in no folder.

    Without a manifest an export is about to be written: what is there may be what it goes on with.
    """
    folders = sorted({path.partition(f"/{SHARDS}/")[0] for path in files if f"/{SHARDS}/" in path})
    for folder in folders:
        out = store.within(folder)
        if (manifest := _manifest(out, f"{folder}/{MANIFEST}" in files)) is not None:
            for name in sorted(unlisted_shards(out, manifest)):
                yield Leftover(f"{folder}/{SHARDS}/{name}", "unfinished" if name.endswith(".tmp") else "unused")
    yield from _records(store, folders, files)


def _records(store: Store, folders: Sequence[str], files: Mapping[str, int]) -> Iterator[Leftover]:
    names = sorted(path.removeprefix(f"{RECORDS}/") for path in files if path.startswith(f"{RECORDS}/g"))
    placed = [Placed(store, folder, names) for folder in folders]
    stays: set[str] = set()
    of_earlier: set[str] = set()
    for name in names:
        if not name.endswith(".json"):
            continue
        group = read_group(store, f"{RECORDS}/{name}")
        stem = name.removesuffix(".json")
        mine = {other for other in names if other == name or other.startswith(stem + MARK)}
        if group is not None:
            mine.add(group.index.path.rsplit("/", 1)[-1])
        if group is not None and any(folder.holds(f"{RECORDS}/{name}", group.shards) for folder in placed):
            stays |= mine
        else:
            of_earlier |= mine
    gone = sorted(set(names) - stays, key=lambda name: (not name.endswith(".json"), name))
    for name in gone:
        yield Leftover(f"{RECORDS}/{name}", "earlier config" if name in of_earlier else "unfinished")


def _manifest(out: Store, stands: bool) -> Manifest | None:
    try:
        return Manifest.model_validate_json(out.read_bytes(MANIFEST)) if stands else None
    except ValidationError:
        return None
