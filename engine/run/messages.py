"""What workers report while they do a task, and what the driver notes where one is gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from fld_engine.engine.data.records import OutputRecord
from fld_engine.engine.plan.tasks import Span, Spent
from fld_engine.schemas.annotations import Frozen


class Ready(Frozen):
    """The worker's process is up, on a node whose name is `node`; `stages` are those that are installed there."""

    event: Literal["ready"] = "ready"
    node: str
    stages: frozenset[str]


class Loading(Frozen):
    """A model is about to be loaded."""

    event: Literal["loading"] = "loading"
    step: str


class Progress(Frozen):
    """Work on a span is about to begin; `finished` counts the units completed since the last report.

    `failed` are those of them that failed through the fault of the step itself: image and reason of each. `worked` says
    that others were done in this process, and not taken over from an earlier run. `batch_s` are the seconds that each
    batch of an annotator took.
    """

    event: Literal["progress"] = "progress"
    span: Span
    finished: int = 0
    failed: tuple[str, ...] = ()
    worked: bool = False
    batch_s: tuple[float, ...] = ()


class Committed(Frozen):
    """Data files of a step are written; the driver makes them count by writing the record."""

    event: Literal["committed"] = "committed"
    output: OutputRecord
    spent: Spent = Spent()


class Done(Frozen):
    """The task is complete. `result` is the JSON of its result type; empty where a task answers nothing.

    `spent` is what all of it cost, outputs that were committed included.
    """

    event: Literal["done"] = "done"
    result: str = ""
    spent: Spent = Spent()


class Failed(Frozen):
    """The task raised. `fatal` errors are of a kind that no retry mends."""

    event: Literal["failed"] = "failed"
    error: str
    detail: str
    fatal: bool


class Broken(Frozen):
    """The process cannot be trusted any more, for its device is gone or seems so; it does nothing until it is ended.

    `spans` are to be tried again in a fresh process; `guilty` units are at fault, each with its reason.
    """

    event: Literal["broken"] = "broken"
    detail: str
    spans: tuple[Span, ...] = ()
    guilty: tuple[tuple[Span, str], ...] = ()


Cause = Literal["process", "memory", "hung", "device", "node"]
"""Why work did not end: its process died, of memory where that is known, or said nothing for too long, or cannot be
trusted; or its node left, which says nothing of the work and is not counted."""


class Lost(Frozen):
    """The worker is gone. Made by the driver's side. `peak_mb` is the most memory it was seen to hold, where known."""

    event: Literal["lost"] = "lost"
    cause: Cause
    detail: str = ""
    peak_mb: int = 0


class Undone(Frozen):
    """Units of a step that were reported as finished, and failed, by an attempt that came to nothing: they come again.

    Made by the driver's side.
    """

    step: str
    finished: int
    failed: int = 0


class Said(Frozen):
    """A log record of a worker. `about` are fields of `engine.run.logs.TOLD`; `created` is in seconds since 1970."""

    event: Literal["said"] = "said"
    logger: str
    level: int
    message: str
    created: float
    pid: int
    about: Mapping[str, str | tuple[str, ...]] = Field(default_factory=dict)


Event = Ready | Loading | Progress | Committed | Done | Failed | Broken | Lost | Said
