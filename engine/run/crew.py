"""The workers of a run at a moment, for those who watch it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers that are up, workers that are not yet, and what is being loaded."""

    up: int = 0
    starting: int = 0
    loading: tuple[str, ...] = ()


def crew_of(workers: Iterable[tuple[bool, str]]) -> Crew:
    """Of each worker, whether it is up, and what it loads."""
    listed = list(workers)
    loading = {what for up, what in listed if up and what}
    return Crew(sum(up for up, _ in listed), sum(not up for up, _ in listed), tuple(sorted(loading)))
