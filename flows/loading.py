"""A word on the terminal while all that a command may need is imported: seconds, on a busy machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

LINE = "fld: loading…"


@contextmanager
def loading() -> Iterator[None]:
    """Show `LINE` meanwhile, where standard error is a terminal for people."""
    shown = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not _is_for_programs()
    _write(f"{LINE}\r" if shown else "")
    try:
        yield
    finally:
        _write("\x1b[K" if shown else "")  # to the end of the line (ECMA-48, EL)


def _is_for_programs() -> bool:
    """Whether a shell asks for completions, or lines of standard error are asked for in a format."""
    asked = os.environ.get("FLD_LOG_FORMAT") or any(word.startswith("--log-format") for word in sys.argv)
    return "_FLD_COMPLETE" in os.environ or bool(asked)


def _write(text: str) -> None:
    if text:
        sys.stderr.write(text)
        sys.stderr.flush()
