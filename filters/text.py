"""Filters of texts by their parse: too many objects, and too little said about objects and actions.

FLD-5B drops texts with excessively many objects and keeps those with a minimum action and object complexity (arXiv
2311.06242, section 4); it publishes no numbers. Objects, actions and complexity are those of `engine.data.semantics`.
A text that was not parsed passes: the rule does not apply, and its value is NaN.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from fld_engine.engine.data.columns import equals
from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.semantics import Parse, parse_of
from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.columns import by_human
from fld_engine.schemas.annotations import GRANULARITIES, Frozen

THRICE = "objects; ours: about three times the average of FLD-5B, Table 3:"
LINKED = "mean degree; ours: the objects are not bare words; the average of FLD-5B, Table 3, is"


class ByGranularity(Frozen):
    """A bound for each granularity of a text."""

    brief: float
    detailed: float
    more_detailed: float

    def bounds(self, texts: pa.Table) -> Floats:
        """The bound of every text, in row order."""
        chosen = [equals(texts["granularity"], granularity) for granularity in GRANULARITIES]
        return np.select(chosen, [self.brief, self.detailed, self.more_detailed], np.nan)


class TextObjects:
    """Drops texts with more objects than a model has seen in the picture; the value is their number."""

    class Params(ByGranularity):
        """Objects in a text at most."""

        brief: float = Field(default=10, ge=0, description=f"{THRICE} 3.23")
        detailed: float = Field(default=40, ge=0, description=f"{THRICE} 13.31")
        more_detailed: float = Field(default=85, ge=0, description=f"{THRICE} 28.06")

    version = 1
    target: ClassVar[str] = "texts"
    keeps_low: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"texts", "tokens"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        texts, parse = tables["texts"], _parse(tables)
        number = _where_parsed(parse, parse.count(parse.object))
        keep = ~(number > self.params.bounds(texts)) | by_human(texts)
        return Verdicts(keep=keep, value=number, reason="too_many_objects")


class TextObjectComplexity:
    """Keeps texts that say enough about their objects; the value is the objects' mean complexity."""

    class Params(ByGranularity):
        """Mean complexity of the objects at least."""

        brief: float = Field(default=1.0, ge=0, description=f"{LINKED} 2.80")
        detailed: float = Field(default=1.0, ge=0, description=f"{LINKED} 4.00")
        more_detailed: float = Field(default=1.0, ge=0, description=f"{LINKED} 4.02")

    version = 1
    target: ClassVar[str] = "texts"
    requires: frozenset[str] = frozenset({"texts", "tokens"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        texts, parse = tables["texts"], _parse(tables)
        complexity = _where_parsed(parse, parse.complexity(parse.object))
        keep = ~(complexity < self.params.bounds(texts)) | by_human(texts)
        return Verdicts(keep=keep, value=complexity, reason="low_object_complexity")


class TextActionComplexity:
    """Keeps texts that say enough about what is done; the value is the actions' mean complexity, 0 without any."""

    class Params(ByGranularity):
        """Mean complexity of the actions at least."""

        brief: float = Field(
            default=0.0,
            ge=0,
            description="mean degree; ours: none, for FLD-5B has 0.58 actions per brief text (Table 3)",
        )
        detailed: float = Field(
            default=1.0, ge=0, description="mean degree; ours: something is done; FLD-5B, Table 3, averages 3.63"
        )
        more_detailed: float = Field(
            default=1.0, ge=0, description="mean degree; ours: something is done; FLD-5B, Table 3, averages 4.38"
        )

    version = 1
    target: ClassVar[str] = "texts"
    requires: frozenset[str] = frozenset({"texts", "tokens"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        texts, parse = tables["texts"], _parse(tables)
        complexity = _where_parsed(parse, parse.complexity(parse.action))
        keep = ~(complexity < self.params.bounds(texts)) | by_human(texts)
        return Verdicts(keep=keep, value=complexity, reason="low_action_complexity")


def _parse(tables: Tables) -> Parse:
    return parse_of(tables["tokens"], tables["texts"]["id"])


def _where_parsed(parse: Parse, values: np.ndarray[tuple[int], np.dtype[np.generic]]) -> Floats:
    """The values as floats, NaN for texts without tokens."""
    return np.where(parse.parsed, values.astype(np.float64), np.nan)
