"""From lost workers to the guilty sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from fld_engine.engine.plan.tasks import Isolation, Span
from fld_engine.engine.run.messages import Cause

REASONS: dict[Cause, str] = {"process": "killed_worker", "memory": "killed_worker", "hung": "hung_worker"}
"""What the row of a condemned unit says. Whether a process died of memory is not always seen, so rows do not tell."""


def isolate(isolation: Isolation, begun: Span | None, cause: Cause, losses: Counter[Span]) -> Isolation:
    """What to tell the next attempt after a worker was lost with a span begun and not ended.

    The first loss only makes the next attempt careful, for a worker can die of causes that lie outside its work, and
    what it began last may be unheard. From then on a lost batch is taken apart, and a unit lost twice is condemned.
    `losses` counts the losses of careful attempts by span, this one included. A loss that teaches nothing changes
    nothing.
    """
    if not isolation.careful:
        return isolation.model_copy(update={"careful": True})
    if begun is None or begun in [unit for unit, _ in isolation.condemned]:
        return isolation
    if begun.stop - begun.start > 1:
        return suspect(isolation, begun.singles())
    if losses[begun] < 2:
        return suspect(isolation, [begun])
    return condemn(isolation, [(begun, REASONS[cause])])


def suspect(isolation: Isolation, spans: Sequence[Span]) -> Isolation:
    """The same with spans that are tried first, in the place of suspects that hold them."""
    others = [s for s in isolation.suspects if not any(s.overlaps(span) for span in spans)]
    return isolation.model_copy(update={"suspects": (*spans, *others)})


def condemn(isolation: Isolation, guilty: Sequence[tuple[Span, str]]) -> Isolation:
    """The same with units that are not tried again, each with its reason."""
    units = [unit for unit, _ in guilty]
    others = tuple(s for s in isolation.suspects if s not in units)
    return isolation.model_copy(update={"suspects": others, "condemned": (*isolation.condemned, *guilty)})
