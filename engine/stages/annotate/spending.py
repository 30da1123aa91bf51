"""What each annotator of a group costs: what is done for it alone, and its part of what they share."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fld_engine.engine.data.traffic import Moved, Traffic
from fld_engine.engine.plan.protocols import Annotator, Asking
from fld_engine.engine.plan.tasks import Spent


@dataclass(slots=True)
class _Own:
    """Of one annotator. `asked` is how much it had asked before."""

    seconds: float = 0.0
    moved: Moved = field(default_factory=Moved)
    asked: int = 0


class Spending:
    """Counts from its making on. What no annotator did alone, such as decoding, goes to all `names` in equal parts."""

    def __init__(self, names: Sequence[str], traffic: Traffic) -> None:
        self._traffic = traffic
        self._own = {name: _Own() for name in names}
        self._begun, self._before = time.perf_counter(), traffic.moved()

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """What is done here is done for one annotator alone."""
        begun, before = time.perf_counter(), self._traffic.moved()
        yield
        own = self._own[name]
        own.seconds += time.perf_counter() - begun
        own.moved = _added(own.moved, self._traffic.moved().since(before))

    def begin(self, name: str, annotator: Annotator) -> None:
        """Note how much an annotator of earlier tasks has asked until now."""
        self._own[name].asked = _num_asked(annotator)

    def end(self, name: str, annotator: Annotator, seconds: float) -> None:
        """Note what it asked, and that it was at work for `seconds` beside what was counted by `of`."""
        own = self._own[name]
        own.seconds, own.asked = own.seconds + seconds, _num_asked(annotator) - own.asked

    def shares(self) -> dict[str, Spent]:
        """Annotator → what it was held for, asked, read and wrote; all of them make up everything until now."""
        seconds = time.perf_counter() - self._begun - sum(own.seconds for own in self._own.values())
        shared = self._traffic.moved().since(self._before)
        for own in self._own.values():
            shared = shared.since(own.moved)
        num = len(self._own)
        return {
            name: Spent(
                held_s=own.seconds + seconds / num,
                questions=own.asked,
                **_added(own.moved, Moved(*(_part(whole, place, num) for whole in shared)))._asdict(),
            )
            for place, (name, own) in enumerate(self._own.items())
        }


def _num_asked(annotator: Annotator) -> int:
    return annotator.num_requests if isinstance(annotator, Asking) else 0


def _added(one: Moved, other: Moved) -> Moved:
    return Moved(*(a + b for a, b in zip(one, other, strict=True)))


def _part(whole: int, place: int, num: int) -> int:
    """One of `num` parts, as equal as whole numbers can be."""
    return whole // num + (place < whole % num)
