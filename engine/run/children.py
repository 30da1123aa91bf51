"""The processes that this one has started, and those that they have."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import psutil


def children() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def kill_children(*, but: Collection[psutil.Process] = ()) -> None:
    """End them all without a further word of theirs, but for some."""
    for process in children().difference(but):
        with suppress(psutil.Error):
            process.kill()
