from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.filters.repetition import TextRepetition, repeated_share
from tests.tables import rows


@pytest.mark.parametrize(
    ("text", "share"),
    [
        # two words of three said again, twice: 2 · len(" red red") of 24 characters
        ("a red red red car car car", 16 / 25),
        # a clause of five words, said three times
        ("A dog on the grass, a dog on the grass. A dog on the grass!", 2 * 19 / 56),
        # a clause of seven words, said twice
        ("A plain ground with a red circle. A plain ground with a red circle.", 33 / 65),
        # three words thrice and a rest that is cut
        ("the car and the car and the car and the", 24 / 39),
        # said twice only
        ("a very very big dog beside a tuk tuk", 0),
        # four words twice: two dogs and a cat
        ("there is a dog there is a dog and a cat", 0),
        # like, and not the same
        ("On the left there is a dog. On the right there is a dog.", 0),
        # a word that begins like the one before
        ("car car carpet", 0),
        # what is repeated elsewhere is not repeated at once
        ("a man in a red shirt and a woman in a red shirt", 0),
        ("", 0),
        ("…", 0),
    ],
)
def test_what_directly_follows_upon_itself_counts(text: str, share: float) -> None:
    assert repeated_share(text) == pytest.approx(share)


@given(st.lists(st.text("abcdefg", min_size=1), unique=True))
def test_different_words_never_repeat(words: list[str]) -> None:
    assert repeated_share(" ".join(words)) == 0


@given(st.lists(st.text("abcd", min_size=1, max_size=2), min_size=1, max_size=8, unique=True), st.integers(3, 9))
def test_a_loop_of_different_words_counts_but_for_its_first_time(words: list[str], times: int) -> None:
    """At least what follows upon the second time."""
    assert 1 > repeated_share(" ".join(words * times)) >= (times - 2) / times


@given(st.lists(st.text("ab", min_size=1, max_size=2), min_size=1, max_size=8), st.integers(3, 9))
def test_a_loop_is_seen_whatever_is_in_it(words: list[str], times: int) -> None:
    """Loops inside it may be counted in its place: `aa a a aa a aa a a` four times gives 0.41, not 0.5 or more."""
    assert 1 > repeated_share(" ".join(words * times)) > 0


def test_verdicts_name_the_share_and_spare_people() -> None:
    said = "a red red red car car car"
    texts = rows(
        "texts",
        {"id": "a", "text": said, "annotator": "specialist-1"},
        {"id": "b", "text": said, "annotator": "human"},
        {"id": "c", "text": "a red car", "annotator": "specialist-1"},
    )
    verdicts = TextRepetition().decide({"texts": texts})
    assert verdicts.keep.tolist() == [False, True, True]
    assert verdicts.value.tolist() == pytest.approx([16 / 25, 16 / 25, 0])
    assert verdicts.reason == "repeats_itself"
    loose = TextRepetition(TextRepetition.Params(max_share=16 / 25))
    assert loose.decide({"texts": texts}).keep.all(), "the bound itself is allowed"


def test_no_text_is_no_problem() -> None:
    verdicts = TextRepetition().decide({"texts": rows("texts")})
    assert (verdicts.keep.shape, verdicts.keep.dtype, verdicts.value.dtype) == ((0,), bool, float)
