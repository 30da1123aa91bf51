"""How much all workers of a root may ask of an endpoint, in requests and in tokens."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fld_engine.engine.data.hashing import canonical_json
from fld_engine.engine.data.store import Store
from fld_engine.schemas.errors import FldError

FOLDER = "spent"
SAVE_EVERY = 64
"""Requests after which a worker writes its tally: as many may be forgotten when it is killed."""


class BudgetSpent(FldError):
    """What was asked already is as much as may be asked."""


@dataclass(frozen=True, slots=True)
class Spent:
    requests: int = 0
    tokens: int = 0


class Budget:
    """Tallies of all workers under `url/spent/`, one file each; a worker reads those of others before each batch.

    Overshoot is bounded. Of requests: what other workers send during one batch, and retries of requests under way. Of
    tokens: that, and what is under way when the limit is reached. Safe to use from several threads.
    """

    def __init__(self, url: str | None, max_requests: int | None, max_tokens: int | None) -> None:
        self._store = Store(url) if url else None
        self._max_requests, self._max_tokens = max_requests, max_tokens
        self._name = f"{uuid.uuid4().hex}.json"
        self._lock = threading.Lock()
        self._own, self._others, self._saved = Spent(), Spent(), Spent()

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was ever spent."""
        return self._store is None or not self._store.list_names(FOLDER)

    @property
    def num_requests(self) -> int:
        """What this worker has sent."""
        return self._own.requests

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Read what others have spent before, and write down what was spent by this worker after."""
        if self._max_requests is not None or self._max_tokens is not None:
            self._others = self._spent_by_others()
        try:
            yield
        finally:
            with self._lock:
                self._save()

    def take(self) -> None:
        """Count a request that is about to be sent. Raises `BudgetSpent` where none may be."""
        with self._lock:
            spent = {
                "max_requests": (self._max_requests, self._own.requests + self._others.requests),
                "max_tokens": (self._max_tokens, self._own.tokens + self._others.tokens),
            }
            for name, (limit, so_far) in spent.items():
                if limit is not None and so_far >= limit:
                    raise BudgetSpent(
                        f"budget {name}={limit} is spent ({so_far}): raise it and run `fld replay`; nothing that was "
                        "answered is asked again"
                    )
            self._add(Spent(requests=1))

    def count(self, more: Spent) -> None:
        """Add what retries and answers cost."""
        with self._lock:
            self._add(more)

    def _add(self, more: Spent) -> None:
        self._own = Spent(self._own.requests + more.requests, self._own.tokens + more.tokens)
        if self._own.requests - self._saved.requests >= SAVE_EVERY:
            self._save()

    def _save(self) -> None:
        if self._store is not None and self._own != self._saved:
            tally = {"requests": self._own.requests, "tokens": self._own.tokens}
            self._store.write_bytes(f"{FOLDER}/{self._name}", canonical_json(tally).encode())
            self._saved = self._own

    def _spent_by_others(self) -> Spent:
        if self._store is None:
            return Spent()
        names = sorted(self._store.list_names(FOLDER) - {self._name})
        tallies = [json.loads(self._store.read_bytes(f"{FOLDER}/{name}")) for name in names if name.endswith(".json")]
        return Spent(sum(t["requests"] for t in tallies), sum(t["tokens"] for t in tallies))
