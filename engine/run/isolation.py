"""From lost workers to the guilty sample."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from fld_engine.engine.plan.tasks import Isolation, Span

Cause = Literal["killed", "hung"]
REASONS: dict[Cause, str] = {"killed": "killed_worker", "hung": "hung_worker"}


def isolate(isolation: Isolation, span: Span | None, cause: Cause, losses: Counter[Span]) -> Isolation:
    """What to tell the next attempt after a worker was lost at `span`.

    The first loss only makes the next attempt careful, for a worker can die of causes that lie outside its work, and
    its last reported span may be stale. From then on a lost span is halved, and a single unit lost twice is condemned.
    `losses` counts the losses of careful attempts by span, this one included.
    """
    others = tuple(s for s in isolation.suspects if s != span)
    if span is None or not isolation.careful:
        suspects = isolation.suspects if span is None else (span, *others)
        return isolation.model_copy(update={"careful": True, "suspects": suspects})
    if span.stop - span.start > 1:
        middle = (span.start + span.stop) // 2
        halves = (span.model_copy(update={"stop": middle}), span.model_copy(update={"start": middle}))
        return isolation.model_copy(update={"suspects": (*halves, *others)})
    if losses[span] < 2:
        return isolation.model_copy(update={"suspects": (span, *others)})
    condemned = (*isolation.condemned, (span, REASONS[cause]))
    return isolation.model_copy(update={"suspects": others, "condemned": condemned})
