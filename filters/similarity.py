"""Filters of texts by how well they fit what they describe, as a ranker measured it.

Cosines of different encoders are not comparable: those of CLIP's matching pairs lie around 0.3 (LAION-400M keeps pairs
of 0.3 and more, arXiv 2111.02114), those of SigLIP lower. So the defaults drop only what is no match for any of them;
set a bound of your own after a look at the scores.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from fld_engine.engine.data.columns import one_of
from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.columns import lowest_of
from fld_engine.schemas.annotations import Frozen, RegionTextKind

BELOW = "lowest cosine that passes; ours: text and picture do not point away from each other"


class TextSimilarity:
    """Keeps texts that fit their image; the value is the cosine, the lowest of several rankers'.

    It is NaN for texts that nobody ranked and those of people, which pass.
    """

    class Params(Frozen):
        """How well a text must fit."""

        min_similarity: float = Field(default=0.0, ge=-1, le=1, description=BELOW)

    version = 1
    target: ClassVar[str] = "texts"
    requires: frozenset[str] = frozenset({"texts", "similarities"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        value = lowest_of(tables["texts"], tables["similarities"])
        return Verdicts(keep=~(value < self.params.min_similarity), value=value, reason="unlike_image")


class RegionTextSimilarity:
    """Keeps region texts of some kinds that fit their region; the value is the cosine, the lowest of several rankers'.

    It is NaN for texts that nobody ranked and those of people, which pass. Texts of other kinds pass, too: by default
    the category phrase, without which a detection would be a box of nothing.
    """

    class Params(Frozen):
        """How well a region's text must fit, and which texts are asked."""

        min_similarity: float = Field(default=0.0, ge=-1, le=1, description=BELOW)
        kinds: tuple[RegionTextKind, ...] = Field(default=("brief", "chunk"), description="kinds that must fit; ours")

    version = 1
    target: ClassVar[str] = "region_texts"
    requires: frozenset[str] = frozenset({"region_texts", "similarities"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        texts = tables["region_texts"]
        value = lowest_of(texts, tables["similarities"])
        unlike = (value < self.params.min_similarity) & one_of(texts["kind"], self.params.kinds)
        return Verdicts(keep=~unlike, value=value, reason="unlike_region")
