"""What goes between a process and a store: requests, and bytes read and written."""

from __future__ import annotations

import threading
from typing import NamedTuple


class Moved(NamedTuple):
    """`requests` are those of object stores; a disk is not asked, but its bytes count."""

    requests: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def since(self, before: Moved) -> Moved:
        return Moved(*(now - then for now, then in zip(self, before, strict=True)))


class Traffic:
    """A count that threads may add to. A copy in another process begins at nothing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved = Moved()

    def __reduce__(self) -> tuple[type[Traffic], tuple[()]]:
        return Traffic, ()

    def add(self, *, requests: int = 0, read_bytes: int = 0, written_bytes: int = 0) -> None:
        with self._lock:
            before = self._moved
            self._moved = Moved(
                before.requests + requests, before.read_bytes + read_bytes, before.written_bytes + written_bytes
            )

    def moved(self) -> Moved:
        """All until now."""
        return self._moved
