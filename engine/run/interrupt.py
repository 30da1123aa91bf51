"""A driver that is asked to stop: the first signal ends it at a safe place, the second at once.

Signals are a matter of the whole process, and `Interrupts` is what the process knows of them. Where nobody listens,
as in a thread or a script of a user's own, nothing here changes anything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from types import FrameType
from typing import Any, NoReturn

from fld_engine.schemas.errors import Interrupted

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = "\x1b[?25h"
"""Of a terminal whose progress bars hid it (DECTCEM)."""


class Interrupts:
    """Whether a signal asked this process to stop, and where its work stands."""

    def __init__(self, again: Callable[[Interrupted], None]) -> None:
        self._again = again
        self._signum = 0
        self._held = 0
        self._raised = False
        self._where = ""
        self._done, self._all = 0, 0

    # ------------------------------------------------------------------ where the work stands

    @contextlib.contextmanager
    def at(self, where: str) -> Iterator[None]:
        """Name what is done meanwhile, such as `in annotate`. What raises leaves its name."""
        before = self._where, self._done, self._all
        self._where, self._done, self._all = where, 0, 0
        yield
        self._where, self._done, self._all = before

    def begin(self, units: int) -> None:
        """Count anew what is done of so many units."""
        self._done, self._all = 0, units

    def advance(self, units: int) -> None:
        self._done = min(self._done + units, self._all)

    # ------------------------------------------------------------------ whether it ends

    @property
    def asked(self) -> bool:
        return self._signum != 0

    def error(self) -> Interrupted:
        """What the signal makes of the run."""
        share = f" at {100 * self._done // self._all} %" if self._all else ""
        return Interrupted(self._signum, self._where + share)

    def check(self) -> None:
        """Raises `Interrupted` where a signal came."""
        if self.asked:
            self._raised = True
            raise self.error()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Signals wait meanwhile: for a `check`, or for the end of this."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        if not self._held and not self._raised:
            self.check()

    def hear(self, signum: int, frame: FrameType | None) -> None:
        """The handler of the signals."""
        first, self._signum = not self.asked, self._signum or signum
        if not first:
            self._again(self.error())
        elif not self._held:
            self.check()


_LISTENING: ContextVar[Interrupts | None] = ContextVar("interrupts", default=None)


def interrupts() -> Interrupts:
    """What this process knows of signals; where nobody listens, that there were none."""
    return _LISTENING.get() or Interrupts(_raise)


@contextlib.contextmanager
def listening(again: Callable[[Interrupted], None] | None = None) -> Iterator[Interrupts]:
    """Hear SIGINT and SIGTERM, as `KeyboardInterrupt` of our own at a safe place; `again` is told of the second.

    Inside of another `listening` its handlers are put back for a while, where a library has put its own in their place.
    A signal that the process was told to ignore (nohup, a job in the background) stays ignored.
    """
    known = _LISTENING.get()
    heard = known or Interrupts(again or _raise)
    token = _LISTENING.set(heard)
    before: dict[signal.Signals, Any] = {}
    if threading.current_thread() is threading.main_thread():
        before = {one: signal.getsignal(one) for one in SIGNALS if signal.getsignal(one) is not signal.SIG_IGN}
    try:
        for one in before:
            signal.signal(one, heard.hear)
        yield heard
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
        _LISTENING.reset(token)


@contextlib.contextmanager
def interruptible(again: Callable[[Interrupted], None] | None = None) -> Iterator[Interrupts]:
    """As `listening`. Raises `Interrupted` in the place of whatever a signal has made of the work."""
    with listening(again) as heard:
        try:
            yield heard
        except BaseException as error:
            if heard.asked:
                raise heard.error() from error
            raise
        heard.check()


@contextlib.contextmanager
def unheard(*signals: signal.Signals) -> Iterator[None]:
    """Processes started meanwhile never hear these signals: a terminal sends them to all, and a driver ends its own."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_at_once(error: Interrupted, *, is_told: bool = False) -> NoReturn:
    """End this process and all that it has started, with one line, and without a further word of theirs."""
    cursor = SHOW_CURSOR if sys.stderr.isatty() else ""
    if not is_told:
        os.write(2, f"{cursor}{error}\n".encode())
    _end(error.signum)


def end_at_any_signal() -> None:
    """From now on the first signal ends this process at once: its work is over, and it only clears away."""
    for one in SIGNALS:
        if signal.getsignal(one) is not signal.SIG_IGN:
            signal.signal(one, lambda signum, frame: _end(signum))


def _end(signum: int) -> NoReturn:
    # its psutil takes longer than all the rest that is loaded before signals are heard
    from fld_engine.engine.run.children import kill_children

    kill_children()
    os._exit(Interrupted(signum).exit_code)


def _raise(error: Interrupted) -> None:
    raise error
