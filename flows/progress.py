"""Progress of a run: bars on a terminal, lines of the log elsewhere, and for Prefect in any case."""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from fld_engine.engine.run.logs import PROGRESS, StderrHandler, about, writes_json
from fld_engine.flows.board import Board, Now
from fld_engine.schemas.errors import ConfigError

log = logging.getLogger(PROGRESS)

EVERY_VARIABLE = "FLD_LOG_EVERY_S"
EVERY_S = 30.0
"""Between two lines of progress."""


class Ticker:
    """Does something at a pace, on a thread of its own, and once more at the end."""

    def __init__(self, every_s: float, do: Callable[[], None], *, end_limit_s: float | None = None) -> None:
        self._every_s, self._do, self._end_limit_s = every_s, do, end_limit_s
        self._ends = threading.Event()
        here = copy_context()  # where Prefect keeps which run this is, and which server it belongs to
        self._thread = threading.Thread(target=here.run, args=(self._tick,), name="progress", daemon=True)

    def __enter__(self) -> Ticker:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._ends.set()
        self._thread.join(self._end_limit_s)

    def _tick(self) -> None:
        while not self._ends.wait(self._every_s):
            self._do()
        self._do()


@contextmanager
def progress_bars() -> Iterator[Board]:
    """A board whose progress is shown: drawn on a terminal, else a line of the log every 30 s.

    The lines are made in either case, at INFO by logger `fld_engine.progress`, for whoever else reads the log.
    """
    board = Board()
    board.listeners.append(_line)
    with ExitStack() as stack:
        if draws():
            stack.enter_context(_hidden())
            console = Console(stderr=True, highlight=False)
            stack.enter_context(
                Live(
                    console=console,
                    get_renderable=lambda: drawn(board.now(), console.height),
                    refresh_per_second=4,
                    transient=True,
                )
            )
            board.listeners.append(lambda event, now: console.print(ended(now)) if event == "ended" else None)
        stack.enter_context(Ticker(_every_s(), lambda: _line("progress", board.now())))
        yield board


@contextmanager
def waiting_for(what: str) -> Iterator[None]:
    """Say what is waited for while there is no board."""
    with ExitStack() as stack:
        if draws():
            stack.enter_context(_hidden())
            stack.enter_context(Console(stderr=True).status(what))
        log.info("%s", what, extra=about(event="waits"))
        yield


def draws() -> bool:
    """Whether standard error is a terminal for people."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not writes_json()


def told(now: Now) -> str:
    """A run at a moment, in a line."""
    if not now.steps:
        return ", ".join(filter(None, [now.doing or now.stage, *_rest(now)]))
    share = "" if now.percent is None else f" {now.percent:.0f} %"
    line = ", ".join([f"{_counted(now.done, now.total)}", *_rest(now)])
    each = [f"{step.name} {_counted(step.done, step.total)}" for step in now.steps]
    several = f" ({', '.join(each)})" if len(each) > 1 else ""
    return f"{now.stage or now.steps[0].name}{share}: {line}{several}"


def ended(now: Now) -> str:
    """A stage at its end, in a line."""
    counted = f": {told(now).partition(': ')[2]}" if now.steps else ""
    return f"{now.stage} ended after {_duration(now.elapsed_s)}{counted}"


def _rest(now: Now) -> Iterator[str]:
    if now.rate:
        yield f"{now.rate:.1f}/s"
    if now.left_s:
        yield f"{_duration(now.left_s)} left"
    if now.failed:
        yield f"{now.failed} failed"
    if now.crew.up or now.crew.starting:
        num = now.crew.up + now.crew.starting
        yield f"{num} worker{'' if num == 1 else 's'}"
    if now.crew.starting:
        yield f"{now.crew.starting} of them starting"
    if now.crew.loading:
        yield f"loading {', '.join(now.crew.loading)}"


def fields(event: str, now: Now) -> dict[str, Any]:
    """The same for programs. What is not known is null: `total` where a stage finds out what there is to do."""
    return {
        "event": event,
        "stage": now.stage,
        "elapsed_s": round(now.elapsed_s, 1),
        "done": now.done,
        "total": now.total or None,
        "rate_per_s": _rounded(now.rate),
        "left_s": _rounded(now.left_s),
        "failed": now.failed,
        "workers": now.crew.up,
        "workers_starting": now.crew.starting,
        "loading": list(now.crew.loading),
        "steps": [
            {
                "name": step.name,
                "done": step.done,
                "total": step.total or None,
                "failed": step.failed,
                "rate_per_s": _rounded(step.rate),
                "left_s": _rounded(step.left_s),
            }
            for step in now.steps
        ],
    }


def drawn(now: Now, height: int) -> RenderableType:
    """Bars of the steps, under a line that says what goes on."""
    head = Spinner("dots", Text(told(Now(now.stage, now.doing, now.elapsed_s, (), now.crew)) or "…"))
    room = max(1, height - 4)
    at_work = [step for step in now.steps if not step.total or step.done < step.total][:room]
    over = [step for step in now.steps if step.total and step.done >= step.total]
    shown = over[len(over) - min(len(over), room - len(at_work)) :] + at_work
    bars = Table.grid(padding=(0, 1))
    for step in shown:
        failed = f"{step.failed} failed" if step.failed else ""
        left = _duration(step.left_s) if step.left_s else ""
        bar = ProgressBar(total=step.total or None, completed=step.done, width=40, pulse=not step.total)
        speed = f"{step.rate:.1f}/s" if step.rate else ""
        bars.add_row(f"{step.name:<24.24}", bar, _counted(step.done, step.total), speed, left, failed)
    return Group(head, bars) if shown else head


def _line(event: str, now: Now) -> None:
    """Log what a run does. Between stages there is nothing to be said."""
    if event == "waits":
        log.info("%s", now.doing, extra=about(event=event, stage=now.stage))
    elif event == "began":
        log.info("%s began", now.stage, extra=about(**fields("stage_began", now)))
    elif event == "ended":
        log.info("%s", ended(now), extra=about(**fields("stage_ended", now)))
    elif now.stage or now.steps or now.doing:
        log.info("%s", told(now), extra=about(**fields(event, now)))


@contextmanager
def _hidden() -> Iterator[None]:
    """Lines of progress are not written where it is drawn."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, StderrHandler)]
    before = [handler.hides for handler in handlers]
    for handler in handlers:
        handler.hides |= {PROGRESS}
    try:
        yield
    finally:
        for handler, hides in zip(handlers, before, strict=True):
            handler.hides = hides


def _every_s() -> float:
    given = os.environ.get(EVERY_VARIABLE, "").strip() or str(EVERY_S)
    try:
        every_s = float(given)
    except ValueError:
        every_s = math.nan
    if not 0.05 <= every_s <= threading.TIMEOUT_MAX:
        raise ConfigError(f"{EVERY_VARIABLE} is {given!r}: expected seconds between two lines of progress, such as 30")
    return every_s


def _counted(done: int, total: int) -> str:
    return f"{done} of {total}" if total else f"{done} done"


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 2)


def _duration(seconds: float) -> str:
    """In two units at most: `42 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    whole = round(seconds)
    for large, small, size in (("d", "h", 86400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= size:
            rest = whole % size // {"h": 3600, "min": 60, "s": 1}[small]
            return f"{whole // size} {large}" + (f" {rest} {small}" if rest else "")
    return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
