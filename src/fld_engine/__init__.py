"""The data engine behind FLD-5B-style datasets.

The six parts are folders at the top of the repository, linked here: `schemas`, `engine`, `annotators`, `filters`,
`refinement` and `flows`. They are imported under this name alone.

Programs use `run`, `open_root`, `refine` and `export`, which are loaded when they are asked for: docs/python.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fld_engine.flows.api import DatasetRoot, Exported, export, open_root, refine, run

__all__ = ["DatasetRoot", "Exported", "export", "open_root", "refine", "run"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fld_engine.flows import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
