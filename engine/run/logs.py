"""Logging of workers: one line a record, with the level that the driver's environment asks for."""

from __future__ import annotations

import logging
import os

LEVEL_VARIABLE = "FLD_LOG_LEVEL"


def configure_worker_logging() -> None:
    level = os.environ.get(LEVEL_VARIABLE, "WARNING").upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s [%(process)d] %(message)s")
