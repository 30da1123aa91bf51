from __future__ import annotations

import pytest

from fld_engine.filters.blacklist import ABSTRACT, PUBLISHED, blacklist, is_listed, normal


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("Two  White\tCats", "two white cats"),  # capitals and any white space
        (" a dog\n", "a dog"),  # around it too
        ("", ""),
        ("ÉCOLE", "école"),  # letters outside ASCII
    ],
)
def test_normal_form(phrase: str, expected: str) -> None:
    assert normal(phrase) == expected
    assert normal(expected) == expected


@pytest.mark.parametrize(
    ("phrase", "listed"),
    [
        ("it", True),  # as it stands
        ("Each Other", True),  # of two words
        ("the image", True),
        ("this image", True),  # "image" without its determiner
        ("a set", True),  # listed with its determiner
        ("set", False),  # and not without
        ("the set", False),
        ("any time", True),  # ours, without its determiner
        ("thermos", False),  # begins with a determiner's letters
        ("a", True),  # a determiner alone is on the published list
        ("the the view", False),  # only one determiner is taken off
        ("timepiece", False),  # a listed word inside another
        ("time and place", False),  # only whole phrases
        ("", False),
    ],
)
def test_listed(phrase: str, listed: bool) -> None:
    assert is_listed(phrase, blacklist()) is listed


@pytest.mark.parametrize(
    ("banned", "it", "view", "drone"),
    [
        (blacklist(), True, True, False),  # the published list and ours
        (blacklist(abstract=False), True, False, False),  # the published list alone
        (blacklist(["A  Drone"]), True, True, True),  # more, however it is written
        (blacklist(["a drone"], abstract=False), True, False, True),
    ],
)
def test_the_published_list_always_applies(banned: frozenset[str], it: bool, view: bool, drone: bool) -> None:
    assert [is_listed(phrase, banned) for phrase in ("it", "view", "a drone")] == [it, view, drone]


def test_the_published_list_is_whole() -> None:
    """72 phrases; "I" is compared as "i". A shorter list lets pronouns into grounding."""
    assert len(PUBLISHED) == 72
    assert {"i", "themselves", "each other", "one another", "the image", "a group", "other objects"} <= PUBLISHED


def test_lists_are_written_as_phrases_are_compared() -> None:
    """An entry with a capital or a double space would never match."""
    assert {normal(phrase) for phrase in PUBLISHED | ABSTRACT} == PUBLISHED | ABSTRACT
    assert not PUBLISHED & ABSTRACT


@pytest.mark.parametrize("named", ["time", "place", "view"])
def test_the_concepts_that_the_paper_names_are_banned(named: str) -> None:
    assert named in ABSTRACT
