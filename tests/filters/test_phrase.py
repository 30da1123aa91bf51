from __future__ import annotations

import pytest

from fld_engine.engine.plan.protocols import Filter
from fld_engine.filters.phrase import PhraseBlacklist, PhraseBoxConfidence, PhraseConfidence
from tests.tables import rows


@pytest.mark.parametrize(
    ("judge", "table"), [(PhraseConfidence(), "phrases"), (PhraseBoxConfidence(), "phrase_regions")]
)
def test_confidence(judge: Filter, table: str) -> None:
    given = rows(
        table,
        {"score": 0.25},  # the bound itself is enough
        {"score": 0.2499},
        {"score": 0.0, "annotator": "human"},  # people have no score to doubt
    )
    verdicts = judge.decide({table: given})
    assert verdicts.value.tolist() == [0.25, 0.2499, 0.0]
    assert verdicts.keep.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("phrase", "kept"),
    [
        ("a brown dog", True),
        ("the image", False),  # published as it stands
        ("I", False),  # published in upper case
        ("Something", False),  # at the beginning of a sentence
        ("the view", False),  # ours, without its determiner
        ("The  VIEW", False),  # however it is spaced and written
        ("a view of the sea", True),  # only whole phrases are banned
        ("the man", True),
        ("the", False),  # nothing but a determiner
        ("a lamp", True),
        ("others", False),
    ],
)
def test_blacklist(phrase: str, kept: bool) -> None:
    verdicts = PhraseBlacklist().decide({"phrases": rows("phrases", {"phrase": phrase})})
    assert verdicts.keep.tolist() == [kept]
    assert verdicts.value.tolist() == [0.0 if kept else 1.0]


def test_blacklist_can_be_extended_and_cut() -> None:
    phrases = rows("phrases", {"phrase": "the view"}, {"phrase": "a Drone"}, {"phrase": "it"}, {"phrase": "a drone"})
    judge = PhraseBlacklist(PhraseBlacklist.Params(abstract=False, extra=("Drone",)))
    assert judge.decide({"phrases": phrases}).keep.tolist() == [True, False, False, False]


def test_blacklist_without_phrases_and_with_those_of_people() -> None:
    assert PhraseBlacklist().decide({"phrases": rows("phrases")}).keep.tolist() == []
    drawn = rows("phrases", {"phrase": "it", "annotator": "human"})
    assert PhraseBlacklist().decide({"phrases": drawn}).keep.tolist() == [True]
