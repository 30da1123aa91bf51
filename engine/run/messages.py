"""What workers report while they do a task, and what the driver notes where one is gone."""

from __future__ import annotations

from typing import Literal

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
    """Work on a span is about to begin; `finished` counts the units completed since the last report."""

    event: Literal["progress"] = "progress"
    span: Span
    finished: int = 0


class Committed(Frozen):
    """Data files of a step are written; the driver makes them count by writing the record."""

    event: Literal["committed"] = "committed"
    output: OutputRecord
    spent: Spent = Spent()


class Done(Frozen):
    """The task is complete. `result` is the JSON of its result type; empty where a task answers nothing."""

    event: Literal["done"] = "done"
    result: str = ""


class Failed(Frozen):
    """The task raised. `fatal` errors are of a kind that no retry mends."""

    event: Literal["failed"] = "failed"
    error: str
    detail: str
    fatal: bool


class Lost(Frozen):
    """The worker is gone: `killed` or `hung`. Made by the driver's side."""

    event: Literal["lost"] = "lost"
    cause: Literal["killed", "hung"]


Event = Ready | Loading | Progress | Committed | Done | Failed | Lost
