"""Logging of drivers and workers: one line a record, no credentials, at the level that the environment asks for."""

from __future__ import annotations

import logging
import os

from fld_engine.schemas.errors import ConfigError, unknown_name
from fld_engine.schemas.masking import masked

LEVEL_VARIABLE = "FLD_LOG_LEVEL"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def configure_logging() -> None:
    """Let this process log to its standard error, where nothing else has set up logging. Raises `ConfigError`."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Masking("%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s"))
    logging.basicConfig(level=_level(), handlers=[handler])


def _level() -> str:
    """Raises `ConfigError` for a level that there is not."""
    given = os.environ.get(LEVEL_VARIABLE) or "WARNING"
    if given.upper() not in logging.getLevelNamesMapping():
        raise ConfigError(f"{LEVEL_VARIABLE}: {unknown_name('level', given, LEVELS)}")
    return given.upper()


class _Masking(logging.Formatter):
    """Whatever a library says of an address is said without its password, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return masked(super().format(record))
