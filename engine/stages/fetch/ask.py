"""Ask for what is dealt to one bucket, and write down what was answered."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.stages.fetch.answer import Answer
from fld_engine.engine.stages.fetch.asking import Asking, Wanted, distinct
from fld_engine.engine.stages.fetch.log import FIELDS, AnswerLog, Noted, read_log
from fld_engine.engine.stages.fetch.reach import opted_out_hosts
from fld_engine.engine.stages.fetch.tasks import STAGE, AskAddresses, Asked

log = logging.getLogger(__name__)

TOLD_EVERY_S = 30.0
SEEN = pa.schema([("url_hash", pa.binary(16)), ("shard", pa.int32()), ("index", pa.int32())])
ANSWERS = pa.schema(
    [
        ("shard", pa.int32()),
        ("index", pa.int32()),
        ("reason", pa.string()),  # empty where there are bytes
        ("detail", pa.string()),
        ("http_status", pa.int32()),
        ("address", pa.string()),  # where redirects led
        ("extension", pa.string()),
        ("num_bytes", pa.int64()),
        ("sha256", pa.string()),
        ("md5", pa.string()),
        ("log", pa.string()),
        ("offset", pa.int64()),
        ("of_shard", pa.int32()),  # of an earlier row with the same address; -1 where there is none
        ("of_index", pa.int32()),
    ]
)
Key = tuple[int, int]
_SAME = {**dict.fromkeys(FIELDS, ""), "reason": "", "http_status": 0, "num_bytes": 0}


def ask(task: AskAddresses, worker: Worker) -> Asked:
    """Ask for each address of the bucket that nobody has asked for. Killed and done again, it goes on with its logs."""
    store = worker.store
    mine = list(_mine(store, task))
    firsts, others = distinct([(wanted, row["url_hash"]) for wanted, row in mine])
    hashes = {(wanted.shard, wanted.index): row["url_hash"] for wanted, row in mine}
    earlier = _earlier(store, task, {hashes[one.shard, one.index] for one in firsts})
    known = _logged(store, task)
    todo = [
        one for one in firsts if (one.shard, one.index) not in known and hashes[one.shard, one.index] not in earlier
    ]
    worker.report(Span(step=STAGE, start=0, stop=len(mine)), len(mine) - len(todo))
    with_md5 = any(row["md5"] for _, row in mine)
    with AnswerLog(store, f"{task.out}.{uuid.uuid4().hex[:8]}") as answers:
        tally = _Tally(worker, answers, known, len(mine))
        asking = Asking(todo, task.fetch, opted_out_hosts(task.fetch), tally.told, tally.beat, with_md5=with_md5)
        with ThreadPoolExecutor(1, thread_name_prefix="fld-fetch") as apart:  # a runner may have a loop of its own here
            apart.submit(asyncio.run, asking.run()).result()
    rows = [
        _row(wanted, row, known, others, earlier.get(hashes[first.shard, first.index]))
        for wanted, row in mine
        for first in [others.get((wanted.shard, wanted.index), wanted)]
    ]
    if task.seen:
        asked = [one for one in firsts if hashes[one.shard, one.index] not in earlier]
        seen = {
            "url_hash": [hashes[one.shard, one.index] for one in asked],
            "shard": [one.shard for one in asked],
            "index": [one.index for one in asked],
        }
        store.write_table(_seen_path(task), pa.table(seen, schema=SEEN))
    store.write_table(f"{task.out}.parquet", pa.Table.from_pylist(rows, schema=ANSWERS))
    fetched = [row for row in rows if not row["reason"]]
    return Asked(rows=len(rows), fetched=len(fetched), num_bytes=sum(row["num_bytes"] for row in fetched))


class _Tally:
    """Notes each answer in the log, and tells of it."""

    def __init__(self, worker: Worker, answers: AnswerLog, known: dict[Key, Noted], total: int) -> None:
        self._worker, self._log, self._known, self._total = worker, answers, known, total
        self._began = self._told_at = time.monotonic()
        self._asked = self._fetched = self._bytes = 0

    def told(self, wanted: Wanted, answer: Answer) -> None:
        self._known[wanted.shard, wanted.index] = self._log.append(wanted.shard, wanted.index, answer)
        self._asked += 1
        self._fetched += not answer.reason
        self._bytes += answer.num_bytes
        self._worker.store.traffic.add(read_bytes=answer.num_bytes)  # of the web, not of the root
        self._worker.report(Span(step=STAGE, start=0, stop=self._total), 1)
        if time.monotonic() - self._told_at > TOLD_EVERY_S:
            self._tell()

    def beat(self) -> None:
        """Waiting for slow hosts is no sign that this process hangs."""
        self._worker.report(Span(step=STAGE, start=0, stop=0), 0)

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        passed_s = self._told_at - self._began
        log.info(
            "%d of %d asked, %d fetched (%.0f %%), %.1f MB, %.1f addresses/s, %.1f MB/s",
            self._asked,
            self._total,
            self._fetched,
            100 * self._fetched / self._asked,
            self._bytes / 2**20,
            self._asked / passed_s,
            self._bytes / 2**20 / passed_s,
        )


def _mine(store: Store, task: AskAddresses) -> Iterator[tuple[Wanted, dict[str, Any]]]:
    """Rows of the bucket, by shard and index."""
    for shard, path in task.shards:
        table = store.read_table(path)
        dealt = table["host_hash"].to_numpy() % np.uint32(task.buckets) == task.bucket
        for row in table.filter(pa.array(dealt)).to_pylist():
            yield Wanted(shard, row["index"], row["url"]), row


def _earlier(store: Store, task: AskAddresses, wanted: set[bytes]) -> dict[bytes, Key]:
    """Which of these addresses were asked for with other shards: the rows that have the answers."""
    found: dict[bytes, Key] = {}
    if not task.seen:
        return found
    ending, own = f"-{task.bucket:03d}.parquet", _seen_path(task).rpartition("/")[2]
    for name in sorted(store.list_names(task.seen)):
        if name.endswith(ending) and name != own:
            table = store.read_table(f"{task.seen}/{name}")
            for url_hash, shard, index in zip(*(table[c].to_pylist() for c in SEEN.names), strict=True):
                if url_hash in wanted:
                    found.setdefault(url_hash, (shard, index))
    return found


def _seen_path(task: AskAddresses) -> str:
    return f"{task.seen}/{task.out.split('/')[-2]}-{task.bucket:03d}.parquet"


def _logged(store: Store, task: AskAddresses) -> dict[Key, Noted]:
    """What earlier attempts at this task were answered."""
    folder, _, stem = task.out.rpartition("/")
    names = sorted(name for name in store.list_names(folder) if name.startswith(f"{stem}.") and name.endswith(".log"))
    found: dict[Key, Noted] = {}
    for name in names:
        for noted in read_log(store, f"{folder}/{name}"):
            found.setdefault((noted.shard, noted.index), noted)
    return found


def _row(
    wanted: Wanted, row: Mapping[str, Any], known: Mapping[Key, Noted], others: Mapping[Key, Wanted], of: Key | None
) -> dict[str, Any]:
    """A row of the answers; bytes that are not those that the list promises are refused."""
    first = others.get((wanted.shard, wanted.index), wanted)
    noted = known.get((first.shard, first.index))
    place = {"shard": wanted.shard, "index": wanted.index, "of_shard": -1, "of_index": -1}
    if of is not None:
        return {**_SAME, **place, "log": "", "offset": 0, "of_shard": of[0], "of_index": of[1]}
    assert noted is not None, "an address has no answer"
    if first is not wanted:
        place |= {"of_shard": first.shard, "of_index": first.index}
    fields = noted.fields
    for name in ("sha256", "md5"):
        if not fields["reason"] and row[name] and row[name] != fields[name]:
            detail = f"its {name} is {fields[name]}, the list has {row[name][:64]}"
            return {**fields, **place, "reason": "hash_differs", "detail": detail, "log": "", "offset": 0}
    return {**fields, **place, "log": noted.log, "offset": noted.offset}
