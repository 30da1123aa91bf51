"""The driver's side of asking: some shards at a time are asked for, written, and done with."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.stages import Driver
from fld_engine.engine.plan.tasks import ARITHMETIC, Lane, Task
from fld_engine.engine.sources.addresses.columns import Columns
from fld_engine.engine.sources.fetched import STATS, ListState, ShardRecord, read_records, shard_name
from fld_engine.engine.stages.fetch.lists import FetchedList, Replay, bring_up, lacking, rows_of
from fld_engine.engine.stages.fetch.tasks import (
    PACKING,
    STAGE,
    AskAddresses,
    Asked,
    AskedShard,
    ListAgain,
    Listed,
    PackShard,
)
from fld_engine.schemas.annotations import Frozen

log = logging.getLogger(__name__)

WAVE_SHARDS = 32
"""Shards that are asked for together: what they take twice on disk, as answers and as tars, bounds the room needed; and
a bucket that has all of their rows, of one host, what a worker holds."""


class Wave(Frozen):
    """Shards that are asked for together, in the order of their numbers; the same ones until all are written."""

    name: str
    round: int
    shards: tuple[AskedShard, ...]
    captions: tuple[tuple[str, ...], ...] = ()


class Fetched(Frozen):
    """What a run of the stage came to: addresses that were answered for, those that were fetched, and their bytes."""

    addresses: int = 0
    fetched: int = 0
    num_bytes: int = 0


def fetch_list(driver: Driver, one: FetchedList) -> Fetched:
    """Ask for all that was not asked for, and for what is to be asked again."""
    store = driver.store
    state = bring_up(driver, one)
    left = lacking(store, one, state.files)
    done = Fetched()
    total, began = rows_of(state.files, state.shard_rows, left), time.monotonic()
    if left:
        driver.watch(STAGE, 0, total)
    while (wave := _wave(driver, one, state)) is not None:
        done = _added(done, _go_through(driver, one, state, wave))
        _tell(one.name, done, max(total, done.addresses), time.monotonic() - began)
    for folder in ("rows", "asks", "answers"):
        store.delete_folder(f"{one.work}/{folder}")
    return done


def _wave(driver: Driver, one: FetchedList, state: ListState) -> Wave | None:
    """The wave that was begun, or the next one; `None` where nothing is left."""
    store = driver.store
    if store.exists(one.wave):
        begun: Wave = store.read_model(one.wave, Wave)
        return begun
    store.delete_folder(f"{one.work}/answers")
    if numbers := lacking(store, one, state.files)[:WAVE_SHARDS]:
        wave = _first_round(store, one, state, numbers)
    elif store.exists(one.replay):
        replay: Replay = store.read_model(one.replay, Replay)
        records = read_records(store, one.name)
        again = [n for n in replay.shards if n in records and records[n].round < replay.round][:WAVE_SHARDS]
        if not again:
            store.delete(one.replay)
            return None
        wave = _next_round(driver, one, again, replay.round, records)
    else:
        return None
    store.publish_model(one.wave, wave)
    return wave


def _first_round(store: Store, one: FetchedList, state: ListState, numbers: Sequence[int]) -> Wave:
    shards = []
    for file in state.files:
        mine = [number for number in numbers if number in file.shards]
        if not mine:
            continue
        asks = one.asks_of(file)
        columns: Columns = store.read_model(asks.columns, Columns)
        for number in mine:
            at = number - file.first_shard
            shards.append(AskedShard(shard=number, rows=asks.rows(at), asks=asks.asks(at), columns=columns))
    return Wave(name=f"r1-{shard_name(numbers[0])}", round=1, shards=tuple(shards))


def _next_round(
    driver: Driver, one: FetchedList, numbers: Sequence[int], round_: int, records: dict[int, ShardRecord]
) -> Wave:
    name = f"r{round_}-{shard_name(numbers[0])}"
    shards = [
        AskedShard(
            shard=number,
            rows=f"{one.folder}/{shard_name(number)}.parquet",
            asks=f"{one.work}/asks/{name}-{shard_name(number)}.parquet",
            columns=Columns(uri=""),
        )
        for number in numbers
    ]
    payloads = [
        ListAgain(folder=one.folder, shard=s.shard, asks=s.asks, captions=records[s.shard].captions) for s in shards
    ]
    tasks = [_task(driver.store, f"look at {one.name} {p.shard}", p) for p in payloads]
    listed = driver.answers(Lane(name="list", resources=ARITHMETIC, tasks=tasks), Listed)
    driver.watch(STAGE, 0, sum(answer.rows for _, answer in listed))
    return Wave(name=name, round=round_, shards=tuple(shards))


def _go_through(driver: Driver, one: FetchedList, state: ListState, wave: Wave) -> Fetched:
    store, folder = driver.store, f"{one.work}/answers/{wave.name}"
    there = store.list_names(folder)
    outs = [f"{folder}/{bucket:03d}" for bucket in range(state.buckets)]
    tasks = [
        _task(
            store,
            f"ask {one.name} {wave.name} {bucket}",
            AskAddresses(
                fetch=one.fetch,
                shards=tuple((shard.shard, shard.asks) for shard in wave.shards),
                bucket=bucket,
                buckets=state.buckets,
                out=out,
                seen=f"{one.work}/seen" if wave.round == 1 else "",
            ),
        )
        for bucket, out in enumerate(outs)
        if f"{bucket:03d}.parquet" not in there
    ]
    done = Fetched()
    for _, answer in driver.answers(Lane(name="ask", resources=ARITHMETIC, tasks=tasks), Asked):
        done = _added(done, Fetched(addresses=answer.rows, fetched=answer.fetched, num_bytes=answer.num_bytes))
    there = store.list_names(one.folder)
    rounds = {
        shard.shard: store.read_model(path, ShardRecord).round
        for shard in wave.shards
        if (path := f"{one.folder}/{shard_name(shard.shard)}{STATS}").rpartition("/")[2] in there
    }
    packing = [
        _task(
            store,
            f"write {one.name} {shard_name(shard.shard)}",
            PackShard(
                shard=shard.shard,
                rows=shard.rows,
                answers=tuple(f"{out}.parquet" for out in outs),
                folder=one.folder,
                round=wave.round,
                columns=shard.columns,
                earlier=shard.rows if wave.round > 1 else "",
                shard_rows=state.shard_rows,
            ),
            {PACKING: 1},
        )
        for shard in wave.shards
        if rounds.get(shard.shard, 0) < wave.round
    ]
    for task, record in driver.answers(Lane(name="write", resources=ARITHMETIC, tasks=packing), ShardRecord):
        assert isinstance(task.payload, PackShard), "the lane ran another task"
        store.write_model(f"{one.folder}/{shard_name(task.payload.shard)}{STATS}", record)
    store.delete(one.wave)
    store.delete_folder(folder)
    for shard in wave.shards:
        if wave.round == 1:
            store.delete(shard.rows)
        store.delete(shard.asks)
    return done


def _task(store: Store, label: str, payload: Frozen, units: dict[str, int] | None = None) -> Task:
    return Task(stage=STAGE, root=store.url, label=label, units=units or {}, payload=payload)


def _added(a: Fetched, b: Fetched) -> Fetched:
    return Fetched(
        addresses=a.addresses + b.addresses, fetched=a.fetched + b.fetched, num_bytes=a.num_bytes + b.num_bytes
    )


def _tell(name: str, done: Fetched, total: int, seconds: float) -> None:
    megabytes = done.num_bytes / 2**20
    log.info(
        "%s: %d of %d addresses answered for (%.0f %%), %d fetched (%.0f %%), %.1f MB; %.1f addresses/s, %.1f MB/s",
        name, done.addresses, total, 100 * done.addresses / max(1, total), done.fetched,
        100 * done.fetched / max(1, done.addresses), megabytes, done.addresses / seconds, megabytes / seconds,
    )  # fmt: skip
