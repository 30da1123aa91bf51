"""What lies in a root that nothing goes by any more, as its stages tell of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from fld_engine.engine.data.journal import IngestRecord
from fld_engine.engine.plan.plan import Plan

Why = Literal["unfinished", "unused", "earlier config"]
"""Why nothing goes by a file:

- `unfinished`: of a worker or driver that was killed before it counted;
- `unused`: it counted, and something newer stands in its place;
- `earlier config`: the output of settings that the root has no more; set again, they are worked for again.
"""


class Leftover(NamedTuple):
    """A file that nothing goes by: its path in the root, and why."""

    path: str
    why: Why


@runtime_checkable
class Leaves(Protocol):
    """A stage that tells what of its own holdings is left over."""

    def leftovers(self, plan: Plan, journal: Sequence[IngestRecord], files: Mapping[str, int]) -> Iterable[Leftover]:
        """Files of the stage that nothing goes by; `files` are all of the root, path → bytes.

        A record comes before what it names, for they are deleted in this order.
        """
        ...
