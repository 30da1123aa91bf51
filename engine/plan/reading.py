"""Reading is a step of its own to whoever watches a worker: one that is lost while it waits for bytes accuses no image.

Without it, a store that answers slowly would be the fault of the image that was done last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from fld_engine.engine.plan.stages import Worker
from fld_engine.engine.plan.tasks import Span
from fld_engine.schemas.errors import TransportError

READING = "read"
Item = TypeVar("Item")


def reading(worker: Worker, items: Iterator[Item], where: str) -> Iterator[Item]:
    """The items of a reader; in a careful task, the worker says before each that it reads.

    Raises `TransportError` where careful workers were lost twice while they read an item.
    """
    unit = 0
    while True:
        if worker.isolation.careful:
            begin_reading(worker, unit, where)
        item = next(items, None)
        if item is None:
            return
        yield item
        unit += 1


def begin_reading(worker: Worker, unit: int, where: str) -> None:
    """Say that bytes are asked for. Raises `TransportError` where that was condemned."""
    span = Span(step=READING, start=unit, stop=unit + 1)
    if reason := dict(worker.isolation.condemned).get(span):
        raise TransportError(
            f"{where}: no reader came through item {unit}: {reason}; run again when the store answers in time, or with "
            "a higher limits.batch_timeout_s",
            "interrupted",
        )
    worker.report(span, 0)
