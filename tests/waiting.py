"""Waiting for other processes: as long as a busy machine may take, and no longer once it is in vain."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE_S = 300.0
"""Far more than anything here takes while other tests run beside it: past it, something hangs."""


def wait_until(
    look: Callable[[], T], *, driver: subprocess.Popen[bytes] | None = None, output: Path | None = None
) -> T:
    """What `look` finds, as soon as that is true; fails when `driver` ended before, or after `PATIENCE_S`.

    `output` is the file that the driver's output goes to, shown where the wait fails.
    """
    deadline = time.monotonic() + PATIENCE_S
    while True:
        ended = driver is not None and driver.poll() is not None
        if found := look():
            return found
        assert not ended, f"the driver ended before that was there{_said(output)}"
        assert time.monotonic() < deadline, f"not there after {PATIENCE_S:.0f} s{_said(output)}"
        time.sleep(0.005)


def _said(output: Path | None) -> str:
    return f": {output.read_text(errors='replace')}" if output is not None else ""
