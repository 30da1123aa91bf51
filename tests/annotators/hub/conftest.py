"""Models on one thread."""

from __future__ import annotations

from tests.annotators.one_thread import one_thread

__all__ = ["one_thread"]
