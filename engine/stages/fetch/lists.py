"""The driver's side of listing: which files a list has, which shards their rows are in, and which are still to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fld_engine.engine.data.hashing import fingerprint
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.sources.addresses.lists import ListLayout, fetching, layout_of
from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.sources.fetched import (
    FOLDER,
    STATS,
    ListedFile,
    ListState,
    read_state,
    state_path,
)
from fld_engine.engine.sources.item import SourceSpec
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.stages.fetch.tasks import LISTING, STAGE, Asks, Listed, ListRows
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import ConfigError, SourceError

MAX_BUCKETS = 64
ROWS_PER_BUCKET = 2_000
"""Addresses of a bucket, at least: fewer make processes that wait for one another's hosts."""


File = tuple[str, int, str]


class Replay(Frozen):
    """Shards that are asked again, in a round of its own."""

    round: int
    shards: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FetchedList:
    """A source that is fetched, and where its work and its results lie in the root."""

    spec: SourceSpec
    fetch: FetchSettings

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.name}"

    @property
    def work(self) -> str:
        return f"fetching/{self.name}"

    @property
    def replay(self) -> str:
        return f"{self.work}/replay.json"

    @property
    def wave(self) -> str:
        return f"{self.work}/wave.json"

    def asks_of(self, file: ListedFile) -> Asks:
        return Asks(folder=self.work, key=key_of(file.path, file.num_bytes, file.stamp))


def lists_of(config: RunConfig) -> list[FetchedList]:
    """The sources of a config that are fetched. Raises `ConfigError` for a name that cannot be a folder."""
    found = [FetchedList(spec, fetch) for spec in config.sources if (fetch := fetching(spec)) is not None]
    for one in found:
        if one.name in (".", "..") or "/" in one.name or "\\" in one.name:
            raise ConfigError(
                f"sources.{one.name}.name: the images of a list go into a folder of this name; give another"
            )
    return found


def key_of(path: str, num_bytes: int, stamp: str) -> str:
    return fingerprint({"path": path, "num_bytes": num_bytes, "stamp": stamp})[:8]


def listed_now(one: FetchedList) -> tuple[Listing, list[File]]:
    """The files of a list: path, bytes, what is known of the version. Raises `SourceError` where there is none."""
    spec = one.spec
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    layout = layout_of(spec) or ListLayout()
    files = [file for file in listing.files if ListLayout().form_of(file[0] or listing.base)[0]]
    files = files or [file for file in listing.files if layout.form_of(file[0] or listing.base)[0]]
    if spec.kind == "parquet":
        files = listing.ending({"parquet"})
    if not files:
        raise SourceError(
            f"source {spec.url} holds no list of addresses (.parquet, .tsv, .csv, .jsonl, .json, .txt, also .gz, .bz2 "
            f"and .xz) among its {len(listing.files)} files{listing.outside()}"
        )
    return listing, [(path, size, listing.stamp([(path, size)])) for path, size in files]


def bring_up(driver: Driver, one: FetchedList) -> ListState:
    """List what is new, and give it shards after those that there are; files that are gone leave the list."""
    store = driver.store
    listing, now = listed_now(one)
    before = read_state(store, one.name)
    known = {_file(file): file for file in (before.files if before else ())}
    if before is not None and known.keys() == set(now):
        return before
    shard_rows = before.shard_rows if before else one.fetch.shard_rows
    new = [file for file in now if file not in known]
    tasks = [_listing_task(store, one, listing.base, file, shard_rows) for file in new]
    made = {r.path: r for _, r in driver.answers(Lane(name="list", resources=ARITHMETIC, tasks=tasks), Listed)}
    next_shard = max((file.first_shard + file.num_shards for file in known.values()), default=0)
    next_shard = max(next_shard, *(number + 1 for number in done_shards(store, one)), 0)
    files = [known[file] for file in now if file in known]
    for path, size, stamp in new:
        found = made[path]
        files.append(
            ListedFile(
                path=path,
                num_bytes=size,
                stamp=stamp,
                rows=found.rows,
                first_shard=next_shard,
                num_shards=found.num_shards,
            )
        )
        next_shard += found.num_shards
    rows = sum(file.rows for file in files)
    if not rows:
        raise SourceError(f"source {one.spec.url} is a list without any address")
    state = ListState(
        shard_rows=shard_rows,
        buckets=before.buckets if before else max(1, min(MAX_BUCKETS, rows // ROWS_PER_BUCKET)),
        files=tuple(files),
        passed_over=listing.passed_over(one.name, {path for path, _, _ in now}),
    )
    store.publish_model(state_path(one.name), state)
    return state


def _listing_task(store: Store, one: FetchedList, base: str, file: File, shard_rows: int) -> Task:
    path, size, _ = file
    payload = ListRows(
        spec=one.spec,
        fetch=one.fetch,
        base=base,
        path=path,
        num_bytes=size,
        key=key_of(*file),
        folder=one.work,
        shard_rows=shard_rows,
    )
    return Task(stage=STAGE, root=store.url, label=f"list {one.name}/{path}", units={LISTING: 0}, payload=payload)


def _file(file: ListedFile) -> File:
    return file.path, file.num_bytes, file.stamp


def done_shards(store: Store, one: FetchedList) -> set[int]:
    """Shards that were ever done, also those of files that left the list: their numbers are not given again."""
    return {int(name.removesuffix(STATS)) for name in store.list_names(one.folder) if name.endswith(STATS)}


def lacking(store: Store, one: FetchedList, files: Sequence[ListedFile]) -> list[int]:
    """Shards of the list that are not done, in order."""
    done = done_shards(store, one)
    return [number for file in files for number in file.shards if number not in done]


def is_done(store: Store, one: FetchedList) -> bool:
    """Whether all addresses that the list has now were asked, and nobody wants them to be asked again."""
    state = read_state(store, one.name)
    if state is None or store.exists(one.replay) or store.exists(one.wave):
        return False
    _, now = listed_now(one)
    return {_file(file) for file in state.files} == set(now) and not lacking(store, one, state.files)


def rows_of(files: Sequence[ListedFile], shard_rows: int, shards: Sequence[int]) -> int:
    """How many rows some shards have."""
    wanted = set(shards)
    return sum(
        min(shard_rows, file.rows - (number - file.first_shard) * shard_rows)
        for file in files
        for number in file.shards
        if number in wanted
    )
