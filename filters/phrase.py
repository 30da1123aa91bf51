"""Filters of phrases and of the boxes they are grounded on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from engine.protocols import Tables, Verdicts
from filters.blacklist import is_banned
from filters.columns import by_human, floats
from schemas.annotations import Frozen


class PhraseConfidence:
    """Keeps phrases whose grounding score reaches `min_score`."""

    class Params(Frozen):
        min_score: float = Field(default=0.25, ge=0, le=1, description="Grounding DINO's default text bound")

    version = 1
    target: ClassVar[str] = "phrases"
    requires: frozenset[str] = frozenset()

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        value = floats(tables["phrases"], "score")
        keep = (value >= self.params.min_score) | by_human(tables["phrases"])
        return Verdicts(keep=keep, value=value, reason="low_confidence")


class PhraseBlacklist:
    """Drops pronouns, abstract concepts and the other phrases that name nothing that can be pointed at.

    The value is 1 for a banned phrase and 0 for others.
    """

    class Params(Frozen):
        more: tuple[str, ...] = Field(default=(), description="phrases to ban beside the lists of filters.blacklist")
        abstract: bool = Field(default=True, description="whether our list of abstract concepts is used")

    version = 1
    target: ClassVar[str] = "phrases"
    requires: frozenset[str] = frozenset()

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        phrases = tables["phrases"]["phrase"].to_pylist()
        banned = np.array(
            [is_banned(phrase, self.params.more, abstract=self.params.abstract) for phrase in phrases], dtype=bool
        )
        return Verdicts(keep=~banned, value=banned.astype(np.float64), reason="blacklisted")


class PhraseBoxConfidence:
    """Keeps the boxes of phrases whose score reaches `min_score`."""

    class Params(Frozen):
        min_score: float = Field(default=0.3, ge=0, le=1, description="Grounding DINO's default box bound is 0.35")

    version = 1
    target: ClassVar[str] = "phrase_regions"
    requires: frozenset[str] = frozenset()

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        value = floats(tables["phrase_regions"], "score")
        keep = (value >= self.params.min_score) | by_human(tables["phrase_regions"])
        return Verdicts(keep=keep, value=value, reason="low_confidence")
