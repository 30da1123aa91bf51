"""A filter of texts that say the same again and again, as a model does that has learned from too little.

Filters of web pages count the n-grams that occur twice (Rae et al. 2021, arXiv 2112.11446, Table A1). A caption is too
short for that: "a red circle and a red square" has a third of its characters in one 2-gram. So only what follows
directly upon itself is counted here: "very very" and "tuk tuk" are English, three times in a row is hardly ever, and
five words or more, from where on that table counts all duplicates, are not said twice in a row.
"""

from __future__ import annotations

import re
from typing import ClassVar

import numpy as np
from pydantic import Field

from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.columns import by_human
from fld_engine.schemas.annotations import Frozen

_WORD = re.compile(r"\w+")
_LOOP = re.compile(
    r"(?<!\S)(?:"
    r"(?P<few>\w++(?: \w++){0,3}?)(?: (?P=few)(?!\S)){2,}"
    r"|"
    r"(?P<many>\w++(?: \w++){4,}?)(?: (?P=many)(?!\S))+"
    r")"
)
"""Words, each after a single space, that follow upon themselves; the groups are what is said for the first time."""


class TextRepetition:
    """Drops texts that repeat themselves; the value is the share of their characters that do, see `repeated_share`."""

    class Params(Frozen):
        """How much of a text may say again what was said right before."""

        max_share: float = Field(
            default=0.2,
            ge=0,
            le=1,
            description="of characters; what Rae et al. 2021, Table A1, let the most frequent 2-gram of a page have",
        )

    version = 1
    target: ClassVar[str] = "texts"
    keeps_low: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        texts = tables["texts"]
        share = np.array([repeated_share(text) for text in texts["text"].to_pylist()], dtype=np.float64)
        keep = ~(share > self.params.max_share) | by_human(texts)
        return Verdicts(keep=keep, value=share, reason="repeats_itself")


def repeated_share(text: str) -> float:
    """Share of the characters of a text, 0 to 1, in words that directly follow upon the same words.

    One to four words count when they are said three times in a row or more, five and more when twice; the first time is
    never counted. Case and punctuation make no difference. A text without words has none that repeat.
    """
    words = " ".join(_WORD.findall(text.lower()))
    again = sum(len(loop[0]) - len(loop["few"] or loop["many"]) for loop in _LOOP.finditer(words))
    return again / len(words) if words else 0.0
