"""One thing that was looked at, and what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from fld_engine.engine.data.extras import missing_sentence
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import FldError

State = Literal["ok", "absent", "warning", "missing"]
"""`absent`: not here, and nobody asked for it; `missing`: not here, and the given config, root or source needs it."""


class Check(Frozen):
    """`found` says what is there, `cure` what to do; empty where nothing is to be done."""

    name: str
    state: State
    found: str
    cure: str = ""


def required(name: str, there: bool, found: str, cure: str, *, otherwise: State = "missing") -> Check:
    """A finding that is well where something is `there`, and else needs its cure."""
    return Check(name=name, state="ok" if there else otherwise, found=found, cure="" if there else cure)


def tried(name: str, look: Callable[[], Iterator[Check]], cure: str = "") -> Iterator[Check]:
    """What `look` finds, and its error as a finding."""
    try:
        yield from look()
    except (FldError, OSError, ImportError) as error:
        lacking = missing_sentence(error) if isinstance(error, ImportError) else ""
        yield Check(name=name, state="missing", found=lacking or str(error) or type(error).__name__, cure=cure)
