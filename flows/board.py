"""What a run does now: its stage, how far each of its steps is, its workers. Fed by a pipeline, asked by any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fld_engine.engine.run.crew import Crew
from fld_engine.engine.run.pipeline import Pipeline

RATE_OVER_S = 60.0
"""A rate is that of the last minute: models that were loading and batches that differ even out (ours)."""
SAMPLE_S = 1.0


@dataclass(frozen=True, slots=True)
class StepNow:
    """One step of a stage, such as a specialist. `total` is 0 where it is not known; `rate` is in units a second."""

    name: str
    done: int
    total: int
    failed: int
    rate: float | None

    @property
    def left_s(self) -> float | None:
        """Time left at the present rate; `None` where nobody knows."""
        if not self.total or (self.done < self.total and not self.rate):
            return None
        return max(0, self.total - self.done) / self.rate if self.rate else 0.0


@dataclass(frozen=True, slots=True)
class Now:
    """A run at a moment. `stage` is empty between stages; `doing` says what is waited for where nothing is counted."""

    stage: str
    doing: str
    elapsed_s: float
    steps: tuple[StepNow, ...]
    crew: Crew

    @property
    def done(self) -> int:
        return sum(step.done for step in self.steps)

    @property
    def total(self) -> int:
        """0 where the units of a step are not known."""
        return sum(step.total for step in self.steps) if all(step.total for step in self.steps) else 0

    @property
    def failed(self) -> int:
        return sum(step.failed for step in self.steps)

    @property
    def rate(self) -> float | None:
        rates = [step.rate for step in self.steps if step.rate]
        return sum(rates) if rates else None

    @property
    def left_s(self) -> float | None:
        """At least this long, of the steps that have begun: the longest of them."""
        left = [step.left_s for step in self.steps if step.left_s is not None]
        return max(left) if left else None

    @property
    def percent(self) -> float | None:
        return min(100.0, 100 * self.done / self.total) if self.total else None


@dataclass(slots=True)
class _Step:
    total: int
    done: int = 0
    samples: deque[tuple[float, int]] = field(default_factory=deque)  # (time, done), a second apart at least

    def note(self, now: float) -> None:
        if not self.samples or now - self.samples[-1][0] >= SAMPLE_S:
            self.samples.append((now, self.done))
        while len(self.samples) > 2 and now - self.samples[0][0] > RATE_OVER_S:
            self.samples.popleft()

    def rate(self, now: float) -> float | None:
        if not self.samples or not self.done:
            return None
        since, before = self.samples[0]
        return max(0, self.done - before) / (now - since) if now > since and self.done > before else None


class Board:
    """A pipeline's `Watch`; it knows of stages what is said to `stage`, and of workers what the pipeline says."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._stage, self._doing, self._began = "", "", clock()
        self._steps: dict[str, _Step] = {}
        self._pipeline: Pipeline | None = None
        self._failed_before: dict[str, int] = {}
        self.listeners: list[Callable[[str, Now], None]] = []
        """Told when a stage `began` and `ended`, and of what is waited for, as `waits`."""

    def __call__(self, step: str, finished: int, total: int) -> None:
        with self._lock:
            known = self._steps.setdefault(step, _Step(0))
            if not finished:
                known.total += total  # a stage may do a step in several goes
            known.done += finished
            known.note(self._clock())

    def follow(self, pipeline: Pipeline) -> None:
        """Ask this pipeline about workers and failures from now on."""
        self._pipeline = pipeline

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is told meanwhile belongs to this stage. One that raises has not ended."""
        with self._lock:
            self._stage, self._began, self._steps = name, self._clock(), {}
            self._failed_before = dict(self._pipeline.work.failed) if self._pipeline else {}
        self._tell("began")
        yield
        self._tell("ended")
        with self._lock:
            self._stage, self._steps = "", {}

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Something that takes a while and counts nothing."""
        self._doing = what
        self._tell("waits")
        try:
            yield
        finally:
            self._doing = ""

    def now(self) -> Now:
        with self._lock:
            now = self._clock()
            failed = dict(self._pipeline.work.failed) if self._pipeline else {}
            steps = tuple(
                StepNow(
                    name=name,
                    done=step.done,
                    total=step.total,
                    failed=failed.get(name, 0) - self._failed_before.get(name, 0),
                    rate=step.rate(now),
                )
                for name, step in self._steps.items()
            )
            crew = self._pipeline.crew() if self._pipeline else Crew()
            return Now(self._stage, self._doing, now - self._began, steps, crew)

    def _tell(self, what: str) -> None:
        for listener in self.listeners:
            listener(what, self.now())
