"""Many addresses at once, few of one host, each tried again only as its answer allows."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from fld_engine.engine.sources.fetch_settings import FetchSettings
from fld_engine.engine.stages.fetch.answer import Answer, host_of
from fld_engine.engine.stages.fetch.client import Client
from fld_engine.engine.stages.fetch.reach import OptedOut

HEARTBEAT_S = 10.0
PAUSES = 5
"""How often a host is waited for in vain, `max_wait_s` each: a host that does nothing but ask for time would hold up
all that waits for its shards."""


@dataclass(slots=True)
class Wanted:
    """An address to be asked, of a row of a shard."""

    shard: int
    index: int
    url: str
    tries: int = 0


@dataclass(slots=True, eq=False)
class _Host:
    rows: deque[Wanted] = field(default_factory=deque)
    active: int = 0
    not_before: float = 0.0
    in_vain_s: float = 0.0  # waited for it since it last had an image
    too_long: int = 0  # times that it asked for more than anybody waits
    is_ready: bool = False


class Asking:
    """Asks for all addresses; `told` has each with its answer, as it comes; `beat` is called every few seconds."""

    def __init__(
        self,
        wanted: Iterable[Wanted],
        settings: FetchSettings,
        opted_out: OptedOut,
        told: Callable[[Wanted, Answer], None],
        beat: Callable[[], None],
        *,
        with_md5: bool = False,
    ) -> None:
        self._settings, self._told, self._beat = settings, told, beat
        self._client = Client(settings, opted_out, self._gate, with_md5=with_md5)
        self._hosts: dict[str, _Host] = {}
        self._gates: dict[str, asyncio.Semaphore] = {}
        self._ready: deque[_Host] = deque()
        self._left = 0
        for one in wanted:
            self._hosts.setdefault(host_of(one.url), _Host()).rows.append(one)
            self._left += 1

    async def run(self) -> None:
        """Returns once every address has its answer. Raises what `told` raises."""
        self._wake = asyncio.Event()
        for host in self._hosts.values():
            self._offer(host)
        under_way: set[asyncio.Task[None]] = set()
        beating = asyncio.create_task(self._beats())
        try:
            async with self._client.opened():
                while self._left:
                    self._wake.clear()
                    while self._ready and len(under_way) < self._settings.connections:
                        self._start(self._ready.popleft(), under_way)
                    await self._wake.wait()
                    for task in [task for task in under_way if task.done()]:
                        under_way.discard(task)
                        task.result()
        finally:
            beating.cancel()
            for task in under_way:
                task.cancel()

    def _start(self, host: _Host, under_way: set[asyncio.Task[None]]) -> None:
        host.is_ready = False
        host.active += 1
        task = asyncio.create_task(self._one(host, host.rows.popleft()))
        task.add_done_callback(lambda _: self._wake.set())
        under_way.add(task)
        self._offer(host)

    def _offer(self, host: _Host) -> None:
        """Put a host in line where it has rows and room; one that asked for time is looked at again then."""
        if host.is_ready or not host.rows or host.active >= self._settings.per_host:
            return
        if (wait_s := host.not_before - time.monotonic()) > 0:
            asyncio.get_running_loop().call_later(wait_s, self._offer, host)
            return
        host.is_ready = True
        self._ready.append(host)
        self._wake.set()

    async def _one(self, host: _Host, wanted: Wanted) -> None:
        answer = await self._client.ask(wanted.url)
        host.active -= 1
        wait_s = self._wait(host, wanted, answer)
        if wait_s is None:
            if answer.reason == "dns_now":
                answer.reason = "dns"
            self._told(wanted, answer)
            self._left -= 1
        else:
            wanted.tries += 1
            asyncio.get_running_loop().call_later(wait_s, self._again, host, wanted)
        self._offer(host)

    def _wait(self, host: _Host, wanted: Wanted, answer: Answer) -> float | None:
        """How long to wait before an address is tried again; `None` where it is not.

        Longer than `max_wait_s` nobody waits, and rather than being asked too soon, the address is left. Its host is
        asked for others after that time, `PAUSES` times; then its word holds for the one address alone.
        """
        most_s = self._settings.max_wait_s
        if not answer.reason:
            host.in_vain_s = 0.0
        if not answer.tried_again:
            return None
        is_borne = host.in_vain_s < PAUSES * most_s
        if answer.wait_s and is_borne and host.too_long < PAUSES:
            host.too_long += answer.wait_s > most_s
            self._pause(host, min(answer.wait_s, most_s))
        if wanted.tries >= self._settings.retries or answer.wait_s > most_s or (answer.wait_s and not is_borne):
            return None
        backoff: float = self._settings.backoff_s * 2**wanted.tries
        return max(min(backoff, most_s), answer.wait_s)

    def _pause(self, host: _Host, wait_s: float) -> None:
        now = time.monotonic()
        until = max(host.not_before, now + wait_s)
        host.in_vain_s += until - max(host.not_before, now)
        host.not_before = until

    def _again(self, host: _Host, wanted: Wanted) -> None:
        host.rows.appendleft(wanted)
        self._offer(host)

    async def _beats(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            self._beat()

    @contextlib.asynccontextmanager
    async def _gate(self, host: str) -> AsyncIterator[None]:
        """Holds for hosts that redirects lead to, as for those of the list."""
        gate = self._gates.setdefault(host.lower(), asyncio.Semaphore(self._settings.per_host))
        async with gate:
            yield


def distinct(wanted: Sequence[tuple[Wanted, bytes]]) -> tuple[list[Wanted], dict[tuple[int, int], Wanted]]:
    """The first of equal addresses, and of each other one's row, the first that is asked for it."""
    firsts: dict[bytes, Wanted] = {}
    others: dict[tuple[int, int], Wanted] = {}
    for one, url_hash in wanted:
        first = firsts.setdefault(url_hash, one)
        if first is not one:
            others[one.shard, one.index] = first
    return list(firsts.values()), others
