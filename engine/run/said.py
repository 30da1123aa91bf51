"""Log records of workers on their way to the driver's log: the terminal of a run, its JSON lines, and Prefect's log."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping

from fld_engine.engine.run.logs import about, fields_of, set_levels
from fld_engine.engine.run.messages import Said
from fld_engine.schemas.masking import masked

MAX_ALIKE = 20
ALIKE_S = 60.0
"""Records alike that a worker tells in such a time: a specialist that complains of each of a million images would keep
the driver from its work. Status tables have the reason of every image that failed."""
LONGEST = 8_000
"""Characters of a message; a traceback is shorter."""


def tell_driver(say: Callable[[Said], None], task: Callable[[], Mapping[str, str]]) -> None:
    """Let this process log to its driver, and nowhere else. `task` says what the process does: stage and partition."""
    set_levels()
    root = logging.getLogger()
    root.handlers[:] = [_ToDriver(say, task)]
    logging.captureWarnings(True)


def retell(said: Said) -> None:
    """Log what a worker said, where the driver's loggers would say it too."""
    logger = logging.getLogger(said.logger)
    if logger.isEnabledFor(said.level):
        record = logger.makeRecord(
            said.logger, said.level, "worker", 0, said.message, (), None, extra=about(**said.about)
        )
        record.created, record.msecs, record.process = said.created, said.created % 1 * 1000, said.pid
        logger.handle(record)


class _ToDriver(logging.Handler):
    """Makes a message of each record. It may be called anywhere, so `say` must not wait for what its caller holds."""

    def __init__(self, say: Callable[[Said], None], task: Callable[[], Mapping[str, str]]) -> None:
        super().__init__()
        self._say, self._task = say, task
        self._formatter = logging.Formatter()  # the message, with its traceback
        self._alike: dict[str, deque[float]] = {}
        self._held_back: dict[str, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind = f"{record.name} {record.msg if isinstance(record.msg, str) else type(record.msg)}"[:300]
        if not self._has_room(kind):
            return
        more = self._held_back.pop(kind, 0)
        message = masked(self._formatter.format(record))[:LONGEST] + (f" (and {more} more like this)" if more else "")
        told = {"node": socket.gethostname(), **self._task(), **fields_of(record)}
        said = Said(
            logger=record.name,
            level=record.levelno,
            message=message,
            created=record.created,
            pid=os.getpid(),
            about={name: value if isinstance(value, tuple) else str(value) for name, value in told.items()},
        )
        try:
            self._say(said)
        except OSError:  # the driver is gone, and so will be this process
            return

    def _has_room(self, kind: str) -> bool:
        now = time.monotonic()
        times = self._alike.setdefault(kind, deque(maxlen=MAX_ALIKE))
        if len(times) == MAX_ALIKE and now - times[0] < ALIKE_S:
            self._held_back[kind] = self._held_back.get(kind, 0) + 1
            return False
        times.append(now)
        return True
