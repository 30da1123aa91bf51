"""Logging of drivers and workers: one line a record, no credentials, at the level and in the format asked for.

What a record is about stands beside its message: `extra=about(...)` for one record, `context(...)` for all that a piece
of code says. Lines of text end with it; lines of JSON have fields of these names.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from fld_engine.schemas.errors import ConfigError, unknown_name
from fld_engine.schemas.masking import masked

LEVEL_VARIABLE = "FLD_LOG_LEVEL"
FORMAT_VARIABLE = "FLD_LOG_FORMAT"
FORMATS = ("text", "json")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
OURS = "fld_engine"
PROGRESS = f"{OURS}.progress"
"""The logger of what a run does now. It speaks at INFO where no level is asked for; all others, at WARNING."""
CHATTY = ("asyncio", "botocore", "fsspec", "h2", "hpack", "httpcore", "httpx", "s3fs", "urllib3", "websockets")
"""Loggers that tell of every request: below WARNING they are heard at level DEBUG alone."""
FIELDS = "about"
"""Attribute of a record with what it is about; not all of `TOLD` must be there."""
TOLD = ("stage", "partition", "specialist", "images", "node")
MAX_IMAGES = 4
"""Ids that a line of text lists; JSON has all."""

_context: ContextVar[Mapping[str, Any] | None] = ContextVar("what log records are about", default=None)


def configure_logging() -> None:
    """Let this process log to its standard error. Again: as the environment says now.

    Raises `ConfigError` for a level or format that is none.
    """
    json_lines = _chosen(FORMAT_VARIABLE, FORMATS, "text") == "json"
    set_levels()
    handler = StderrHandler()
    handler.setFormatter(JsonLines() if json_lines else TextLines())
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, StderrHandler)]:
        root.removeHandler(old)
    if not root.handlers:  # else something has set up logging before us, as test frameworks do
        root.addHandler(handler)
    logging.captureWarnings(True)


def set_levels() -> None:
    """Let our loggers and all others say what `FLD_LOG_LEVEL` asks for. Raises `ConfigError` for one that is none."""
    level = _chosen(LEVEL_VARIABLE, LEVELS, "")
    logging.getLogger().setLevel(level or "WARNING")
    logging.getLogger(OURS).setLevel(level or "WARNING")
    logging.getLogger(PROGRESS).setLevel(level or "INFO")
    for name in CHATTY:
        logging.getLogger(name).setLevel("WARNING" if level == "INFO" else level or "WARNING")


def writes_json() -> bool:
    """Whether standard error is for programs: one JSON object a line."""
    return os.environ.get(FORMAT_VARIABLE, "").lower() == "json"


@contextmanager
def context(**what: Any) -> Iterator[None]:
    """Say of all records of this thread, while it lasts, what they are about: fields of `TOLD`."""
    token = _context.set({**(_context.get() or {}), **what})
    try:
        yield
    finally:
        _context.reset(token)


def about(**what: Any) -> dict[str, Any]:
    """Say of one record what it is about: the `extra` of a call of a logger."""
    return {FIELDS: what}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """What a record is about, as far as anybody said; on the thread that made it."""
    return {**(_context.get() or {}), **getattr(record, FIELDS, {})}


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the time: while bars are drawn, that is a place above them.

    `hides` names loggers whose records are shown in another way.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.hides: frozenset[str] = frozenset()

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, stream: TextIO) -> None:
        raise AttributeError("the stream is standard error, whatever that is")

    def filter(self, record: logging.LogRecord) -> bool:
        # what Prefect says of its runs is in its own log; what went wrong is said by whoever ran it, once
        quiet = record.name.partition(".")[0] == "prefect" and record.levelno < logging.CRITICAL
        return not quiet and record.name not in self.hides and bool(super().filter(record))


class TextLines(logging.Formatter):
    """Lines for people. Whatever a library says of an address is said without its password, tracebacks included."""

    def __init__(self, head: str = "%(asctime)s %(levelname)s %(name)s [%(process)d] ") -> None:
        super().__init__(f"{head}%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is Python's
        fields = fields_of(record)
        told = [f"{name} {_listed(fields[name])}" for name in TOLD if fields.get(name)]
        return super().formatMessage(record) + (f" ({', '.join(told)})" if told and record.name != PROGRESS else "")


class JsonLines(logging.Formatter):
    """Lines for programs: one JSON object each, with `time` (ISO 8601, UTC), `level`, `logger`, `pid`, `message`."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "pid": record.process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            told["traceback"] = self.formatException(record.exc_info)
        return masked(json.dumps({**told, **fields_of(record)}, default=str, ensure_ascii=False))


def _listed(value: Any) -> str:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return str(value)
    more = f" and {len(value) - MAX_IMAGES} more" if len(value) > MAX_IMAGES else ""
    return ", ".join(map(str, value[:MAX_IMAGES])) + more


def _chosen(variable: str, available: Sequence[str], default: str) -> str:
    given = os.environ.get(variable, "")
    same = next((one for one in available if one.lower() == given.lower()), None)
    if given and same is None:
        raise ConfigError(unknown_name(variable, given, available))
    return same or default
