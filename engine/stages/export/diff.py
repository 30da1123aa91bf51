"""What is different between two exports: from their manifests first; only shards that differ are read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from typing import Any

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.store import Store
from fld_engine.engine.stages.export.manifest import MANIFEST, SHARDS, Manifest, ShardRecord
from fld_engine.engine.stages.export.shard_reader import HashedStream, ShardError, read_members
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import RootError, VerificationError

NUM_THREADS = 4
DIGEST_BYTES = 8
"""Of a part of a sample. Two versions of one part are told apart but for one chance in 2**64."""
NOT_COMPARED = frozenset({"id", "schema"})

Parts = Mapping[str, bytes]
"""Part of a sample → digest: `jpg`, `txt`, and every key of the json."""


class Changes(Frozen):
    """Names that only the new one has, that only the old one has, and that mean something else in it."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


class ValueChange(Frozen):
    """A setting before and after; `None` where it was not there."""

    old: Any
    new: Any


class SampleChange(Frozen):
    """A sample that both exports have. `parts`: `jpg`, `txt`, or keys of the json such as `regions` and `targets`."""

    id: str
    parts: tuple[str, ...]


class ExportDiff(Frozen):
    """All differences, `old` to `new`.

    `samples_*` are ids; `parts` counts the changed samples by part. `specialists` and `filters` are told by name,
    `config` by the path of each setting, theirs included. `num_*` are of the old and of the new one.
    """

    num_samples: tuple[int, int]
    num_shards: tuple[int, int]
    num_shards_read: tuple[int, int]
    samples_added: tuple[str, ...]
    samples_removed: tuple[str, ...]
    samples_changed: tuple[SampleChange, ...]
    parts: Mapping[str, int]
    shards: Changes
    specialists: Changes
    filters: Changes
    config: Mapping[str, ValueChange]

    @property
    def same(self) -> bool:
        """Whether the exports are the same, bytes and settings."""
        samples = self.samples_added or self.samples_removed or self.samples_changed
        return not (samples or self.shards or self.specialists or self.filters or self.config)


def diff(
    old_url: str, new_url: str, watch: Callable[[str, int, int], None] = lambda step, n, total: None
) -> ExportDiff:
    """Compare two finished exports.

    A shard whose bytes the other export has too, under any name, is not opened. Raises `RootError` where there is no
    finished export, `VerificationError` for a shard that cannot be read.
    """
    old, new = Store(old_url), Store(new_url)
    before, after = _manifest(old), _manifest(new)
    only_old, only_new = _unshared(before, after), _unshared(after, before)
    watch("shards", 0, len(only_old) + len(only_new))
    was = _samples(old, only_old, watch)
    now = _samples(new, only_new, watch)
    changed = [
        SampleChange(id=identity, parts=parts)
        for identity in sorted(was.keys() & now.keys())
        if (parts := _changed_parts(was[identity], now[identity]))
    ]
    changed_parts = sorted({part for sample in changed for part in sample.parts})
    old_config, new_config = _flat(before.config), _flat(after.config)
    return ExportDiff(
        num_samples=(before.samples, after.samples),
        num_shards=(len(before.shards), len(after.shards)),
        num_shards_read=(len(only_old), len(only_new)),
        samples_added=tuple(sorted(now.keys() - was.keys())),
        samples_removed=tuple(sorted(was.keys() - now.keys())),
        samples_changed=tuple(changed),
        parts={part: sum(part in sample.parts for sample in changed) for part in changed_parts},
        shards=_changes({s.name: s.sha256 for s in before.shards}, {s.name: s.sha256 for s in after.shards}),
        specialists=_changes(_specialists(before), _specialists(after)),
        filters=_changes(*(_filters(manifest, resolved=_tell_filters(before, after)) for manifest in (before, after))),
        config={
            key: ValueChange(old=old_config.get(key), new=new_config.get(key))
            for key in sorted(old_config.keys() | new_config.keys())
            if old_config.get(key) != new_config.get(key)
        },
    )


def _manifest(out: Store) -> Manifest:
    try:
        manifest: Manifest = out.read_model(MANIFEST, Manifest)
    except FileNotFoundError:
        raise RootError(
            f"{out.url} has no {MANIFEST}: it is no export, or one that was not finished; give the folder `export` of "
            "a dataset root, or a copy of one"
        ) from None
    except ValueError as error:
        raise RootError(f"{out.url}/{MANIFEST} cannot be read: {' '.join(str(error).split())[:200]}") from None
    return manifest


def _unshared(mine: Manifest, other: Manifest) -> list[ShardRecord]:
    theirs = {shard.sha256 for shard in other.shards}
    return [shard for shard in mine.shards if shard.sha256 not in theirs]


def _samples(out: Store, shards: Iterable[ShardRecord], watch: Callable[[str, int, int], None]) -> dict[str, Parts]:
    found: dict[str, Parts] = {}
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for samples in pool.map(lambda shard: _read(out, shard), shards):
            found |= samples
            watch("shards", 1, 0)
    return found


def _read(out: Store, shard: ShardRecord) -> dict[str, Parts]:
    samples: dict[str, dict[str, bytes]] = {}
    try:
        with out.open_read(f"{SHARDS}/{shard.name}") as file:
            for name, data in read_members(HashedStream(file)):
                key, _, extension = name.partition(".")
                samples.setdefault(key, {}).update(_parts(extension, data))
    except (ShardError, OSError, ValueError) as error:
        raise VerificationError(
            f"shard {shard.name} of {out.url} cannot be read ({error}); `fld verify` says all that is wrong with it"
        ) from error
    return dict(samples)


def _parts(extension: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    if extension != "json":
        yield extension, _digest(data)
        return
    for key, value in json.loads(data).items():
        if key not in NOT_COMPARED:
            yield key, _digest(canonical_json(value).encode())


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=DIGEST_BYTES).digest()


def _changed_parts(was: Parts, now: Parts) -> tuple[str, ...]:
    return tuple(sorted(part for part in was.keys() | now.keys() if was.get(part) != now.get(part)))


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Changes:
    return Changes(
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=tuple(sorted(name for name in old.keys() & new.keys() if old[name] != new[name])),
    )


def _specialists(manifest: Manifest) -> dict[str, Any]:
    """Everything that shapes what an annotator writes: its model, and its section of the config."""
    sections = manifest.config.get("annotators", {})
    return {name: (model.model_dump(), sections.get(name)) for name, model in manifest.models.items()}


def _tell_filters(*manifests: Manifest) -> bool:
    """Whether both say what thresholds and versions their filters really had, defaults included."""
    return all(manifest.facts.filters or not manifest.config.get("filters") for manifest in manifests)


def _filters(manifest: Manifest, *, resolved: bool) -> Mapping[str, Any]:
    if resolved:
        return {judge.name: judge for judge in manifest.facts.filters}
    sections: Mapping[str, Any] = manifest.config.get("filters", {})
    return sections


def _flat(tree: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Settings by `key.path`; an empty section is as good as none."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{path}{key}.")
        else:
            flat[f"{path}{key}"] = value
    return flat
