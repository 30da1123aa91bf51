"""Filters of phrases and of the boxes they are grounded on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fld_engine.engine.data.columns import floats
from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.blacklist import blacklist, is_listed
from fld_engine.filters.columns import by_human
from fld_engine.schemas.annotations import Frozen

TRANSFORMERS_DEFAULT = "default of Grounding DINO's post-processing in transformers"


class PhraseConfidence:
    """Keeps phrases of score `min_score` or more, and those of people; the value is the score."""

    class Params(Frozen):
        """How sure a grounder must be that the phrase means something it sees."""

        min_score: float = Field(default=0.25, ge=0, le=1, description=f"{TRANSFORMERS_DEFAULT}, text_threshold")

    version = 1
    target: ClassVar[str] = "phrases"
    of_score: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"phrases"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        phrases = tables["phrases"]
        score = floats(phrases, "score")
        return Verdicts(keep=(score >= self.params.min_score) | by_human(phrases), value=score, reason="low_confidence")


class PhraseBlacklist:
    """Drops pronouns, abstract concepts and whatever else nobody can point at; the value is 1 for these, 0 for others.

    A phrase is compared in lower case, as it stands and without its determiner.
    """

    class Params(Frozen):
        """What is banned beside the published list, which always is."""

        abstract: bool = Field(default=True, description="ban the abstract concepts of `filters.blacklist`, our list")
        extra: tuple[str, ...] = Field(default=(), description="more phrases to ban; ours: none")

    version = 1
    target: ClassVar[str] = "phrases"
    keeps_low: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"phrases"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        phrases = tables["phrases"]
        banned = blacklist(self.params.extra, abstract=self.params.abstract)
        encoded = phrases["phrase"].combine_chunks().dictionary_encode()  # each distinct phrase is looked at once
        listed = np.array([is_listed(phrase, banned) for phrase in encoded.dictionary.to_pylist()], dtype=bool)
        is_banned = listed[encoded.indices.to_numpy()]
        return Verdicts(keep=~is_banned | by_human(phrases), value=is_banned.astype(np.float64), reason="blacklisted")


class PhraseBoxConfidence:
    """Keeps boxes of phrases of score `min_score` or more, and those of people; the value is the score."""

    class Params(Frozen):
        """How sure a grounder must be of a box."""

        min_score: float = Field(default=0.25, ge=0, le=1, description=f"{TRANSFORMERS_DEFAULT}, threshold")

    version = 1
    target: ClassVar[str] = "phrase_regions"
    of_score: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"phrase_regions"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        boxes = tables["phrase_regions"]
        score = floats(boxes, "score")
        return Verdicts(keep=(score >= self.params.min_score) | by_human(boxes), value=score, reason="low_confidence")
