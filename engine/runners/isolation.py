"""From lost workers to the guilty sample."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from engine.tasks import Isolation, Span

Cause = Literal["killed", "hung"]
REASONS: dict[Cause, str] = {"killed": "killed_worker", "hung": "hung_worker"}


def isolate(isolation: Isolation, span: Span, cause: Cause, losses: Counter[Span]) -> Isolation:
    """What to tell the next attempt after a worker was lost at `span`.

    A span is tried twice as it was, because a worker can die of causes that lie outside it. Lost again, it is halved;
    a single unit lost twice is condemned. `losses` counts losses by span, this one included.
    """
    others = tuple(s for s in isolation.suspects if s != span)
    if losses[span] < 2:
        return isolation.model_copy(update={"suspects": (span, *others)})
    if span.stop - span.start == 1:
        condemned = (*isolation.condemned, (span, REASONS[cause]))
        return Isolation(suspects=others, condemned=condemned)
    middle = (span.start + span.stop) // 2
    halves = (span.model_copy(update={"stop": middle}), span.model_copy(update={"start": middle}))
    return isolation.model_copy(update={"suspects": (*halves, *others)})
