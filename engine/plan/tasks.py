"""What a driver asks of a worker: all of it crosses processes. What a worker answers is in `engine.run.messages`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field, SerializeAsAny

from fld_engine.engine.plan.protocols import Resources
from fld_engine.schemas.annotations import Frozen

ARITHMETIC = Resources(cpus=1.0, memory_mb=500)
"""What a worker needs that loads no model."""


class Span(Frozen):
    """Units [start, stop) of a step: images of a partition, or items of a source chunk."""

    step: str
    start: int
    stop: int

    def singles(self) -> tuple[Span, ...]:
        """Its units, one by one."""
        return tuple(Span(step=self.step, start=unit, stop=unit + 1) for unit in range(self.start, self.stop))

    def overlaps(self, other: Span) -> bool:
        return self.step == other.step and self.start < other.stop and other.start < self.stop


class Isolation(Frozen):
    """What earlier attempts at a task learnt about poison.

    `suspects` are run first and apart: batches that a worker was lost in, or their units. `condemned` units are not run
    again: each is recorded as failed with its reason. A `careful` worker says of every unit that it begins with it, and
    waits until the driver knows; others may die with their last words unheard. Steps in `patient` have failed on all
    images for so long that failures in a row say nothing of a process.
    """

    careful: bool = False
    suspects: tuple[Span, ...] = ()
    condemned: tuple[tuple[Span, str], ...] = ()
    patient: tuple[str, ...] = ()


class Task(Frozen):
    """A piece of work for one worker: an envelope around what the stage that does it wants to know.

    `stage` is a name of entry-point group `fld_engine.stages`. `label` tells the task from the others of its lane;
    tasks of one label, such as those of a partition, follow one another where lanes run side by side. `units` are what
    it reports as progress, by step; 0 where their number is not known beforehand.
    """

    stage: str
    root: str
    label: str
    units: Mapping[str, int] = Field(default_factory=dict)
    payload: SerializeAsAny[Frozen]
    isolation: Isolation = Isolation()


class Spent(Frozen):
    """What an output, or a whole task, cost. `seconds` were spent in the annotator, on `images_annotated` images.

    `held_s` are all that its process was at it: loading, reading, decoding and writing included. `questions` were sent
    to a chat endpoint, `requests` to the store of the root.
    """

    models_loaded: int = 0
    images_read: int = 0
    images_annotated: int = 0
    seconds: float = 0.0
    held_s: float = 0.0
    questions: int = 0
    requests: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


class Lane(Frozen):
    """Tasks that the same workers can do: equal resource requests, models held side by side."""

    name: str
    resources: Resources
    tasks: Sequence[Task]
