"""Texts are kept where they fit what they describe."""

from __future__ import annotations

import numpy as np
import pytest

from fld_engine.engine.plan.protocols import Filter
from fld_engine.filters.similarity import RegionTextSimilarity, TextSimilarity
from tests.tables import rows

SCORES = {"good": (0.4,), "poor": (0.19,), "at the bound": (0.2,), "human": (0.0,), "disputed": (0.5, 0.1)}
KEPT = {"good": True, "poor": False, "at the bound": True, "human": True, "disputed": False, "unranked": True}
VALUES = {"good": 0.4, "poor": 0.19, "at the bound": 0.2, "human": np.nan, "disputed": 0.1, "unranked": np.nan}
RANKED = rows(
    "similarities",
    *({"id": f"{name} {i}", "subject_id": name, "score": s} for name, of in SCORES.items() for i, s in enumerate(of)),
)
"""With judgements of two rankers, and of a text that is not there."""


def test_texts_below_the_bound_go() -> None:
    authors = {name: "human" if name == "human" else "model" for name in KEPT}
    texts = rows("texts", *({"id": name, "annotator": author} for name, author in authors.items()))
    verdicts = TextSimilarity(TextSimilarity.Params(min_similarity=0.2)).decide(
        {"texts": texts, "similarities": RANKED}
    )
    assert dict(zip(KEPT, verdicts.keep.tolist(), strict=True)) == KEPT
    np.testing.assert_allclose(verdicts.value, list(VALUES.values()))
    assert verdicts.reason == "unlike_image"


@pytest.mark.parametrize(
    ("kind", "kinds", "kept"),
    [
        ("brief", ("brief", "chunk"), False),
        ("chunk", ("brief", "chunk"), False),
        ("phrase", ("brief", "chunk"), True),
        ("phrase", ("phrase",), False),
        ("brief", ("phrase",), True),
    ],
)
def test_region_texts_of_the_kinds_asked_go(kind: str, kinds: tuple[str, ...], kept: bool) -> None:
    params = RegionTextSimilarity.Params.model_validate({"min_similarity": 0.2, "kinds": kinds})
    texts = rows("region_texts", {"id": "poor", "kind": kind}, {"id": "good", "kind": kind})
    verdicts = RegionTextSimilarity(params).decide({"region_texts": texts, "similarities": RANKED})
    assert verdicts.keep.tolist() == [kept, True]
    np.testing.assert_allclose(verdicts.value, [0.19, 0.4])


@pytest.mark.parametrize(("judge", "table"), [(TextSimilarity(), "texts"), (RegionTextSimilarity(), "region_texts")])
def test_nothing_is_no_problem(judge: Filter, table: str) -> None:
    verdicts = judge.decide({table: rows(table), "similarities": RANKED})
    assert (verdicts.keep.shape, verdicts.value.shape) == ((0,), (0,))
