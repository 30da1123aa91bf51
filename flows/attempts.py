"""The line of a run in its root's history, kept up to date while the run goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.flows.summary import RunSummary, record_attempt
from fld_engine.schemas.errors import FldError

SAVE_S = 60.0
"""How often what a run has cost is written down; as much is forgotten when it is killed outright."""


@contextmanager
def recorded(pipeline: Pipeline, started: float, summary: Callable[[], RunSummary]) -> Iterator[Callable[[], None]]:
    """Yields what writes the line now. It is also written while work goes on, and where the run ends with an error."""
    watch, saved_at = pipeline.watch, time.monotonic()

    def save() -> None:
        nonlocal saved_at
        saved_at = time.monotonic()
        record_attempt(pipeline.store, started, summary())

    def watch_and_save(step: str, finished: int, total: int) -> None:
        watch(step, finished, total)
        if time.monotonic() - saved_at > SAVE_S:
            save()

    pipeline.watch = watch_and_save
    try:
        yield save
    except BaseException:
        if pipeline.meter.costs.total().cpu_s:
            with suppress(FldError, OSError):  # what ended the run is what is said
                save()
        raise
    finally:
        pipeline.watch = watch
