"""Which tests stay together when several processes share them, and which begin first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

SHARED = {"tests/refinement/loop/test_sparse.py": "tests/refinement/loop/test_loop.py"}
"""A file → the one that makes what both read: minutes of training that one process does once."""


class ByFile(LoadScopeScheduling):
    """Each file's tests stay in one process, for the sake of what they share; files begin in the order of the items.

    Raises `pytest.UsageError` for a file of `SHARED` that is not there.
    """

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        if gone := [file for pair in SHARED.items() for file in pair if not (config.rootpath / file).is_file()]:
            raise pytest.UsageError(f"tests/side_by_side.py: SHARED names {', '.join(gone)}, which moved: name it anew")
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return SHARED.get(file, file)


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Items by what their files take, as their mark `long` says: none of these is left to run alone at the end."""
    items = list(items)
    minutes: dict[str, float] = {}
    for item in items:
        if mark := item.get_closest_marker("long"):
            file = item.nodeid.split("::", 1)[0]
            minutes[file] = max(minutes.get(file, 0), mark.kwargs.get("minutes", 0.5))
    return sorted(items, key=lambda item: -minutes.get(item.nodeid.split("::", 1)[0], 0))
