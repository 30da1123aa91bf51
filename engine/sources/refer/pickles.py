"""Pickles of other people, read without running anything that is in them."""

from __future__ import annotations

import io
import pickle
from typing import Any

_CONTAINERS = {"dict": dict, "list": list, "tuple": tuple, "set": set, "frozenset": frozenset}
"""All that a pickle may make beside numbers, strings, bytes, `None`, `True` and `False`."""


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in _CONTAINERS:
            return _CONTAINERS[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only plain containers are read")


def load_plain(data: bytes) -> Any:
    """What a pickle of plain containers holds, those of Python 2 too. Raises `ValueError` for any other.

    A pickle is a program: one that names a function or a class is refused before that is imported.
    """
    try:
        return _Plain(io.BytesIO(data), encoding="utf-8", errors="replace").load()
    except (  # whatever a pickle that is none makes the unpickler stumble over
        pickle.UnpicklingError, ValueError, EOFError, AttributeError, IndexError, KeyError, TypeError, ImportError,
        OverflowError, MemoryError, RecursionError,
    ) as error:  # fmt: skip
        raise ValueError(f"it is no pickle of plain lists and dicts: {error}") from error
