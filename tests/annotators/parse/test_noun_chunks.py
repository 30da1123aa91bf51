"""What a text says of number and place decides which of several boxes a phrase gets."""

from __future__ import annotations

import pytest

from fld_engine.annotators.parse.noun_chunks import Chunk, noun_chunks
from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.schemas.annotations import Annotations
from tests.annotators.builders import blank, text


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    made = SpacyParser()
    made.load()
    return made


def chunks(parser: SpacyParser, words: str) -> dict[str, Chunk]:
    tokens = parser.annotate([blank(Annotations(texts=(text(words),)))])[0].tokens
    return {words[chunk.start : chunk.end]: chunk for chunk in noun_chunks(tokens)}


def test_determiners_are_not_part_of_a_phrase_and_modifiers_are(parser: SpacyParser) -> None:
    assert list(chunks(parser, "The small dog chases a red ball.")) == ["small dog", "red ball"]


@pytest.mark.parametrize(
    ("words", "phrase", "limit"),
    [
        ("A dog is seen.", "dog", 1),
        ("Two dogs are seen.", "Two dogs", 2),
        ("2 dogs are seen.", "2 dogs", 2),
        ("Several dogs are seen.", "Several dogs", None),
        ("People are seen.", "People", None),
    ],
)
def test_the_number_a_phrase_speaks_of(parser: SpacyParser, words: str, phrase: str, limit: int | None) -> None:
    assert chunks(parser, words)[phrase].limit == limit


@pytest.mark.parametrize(
    ("words", "phrase", "place"),
    [
        ("A dog stands on the left.", "dog", ("left", None)),
        ("On the right, a dog stands near a cat.", "dog", ("right", None)),
        ("On the right, a dog stands near a cat.", "cat", (None, None)),
        ("A cat sleeps in the upper left corner.", "cat", ("left", "top")),
        ("A cat is at the bottom right of the picture.", "cat", ("right", "bottom")),
        ("A dog is on the left. A cat is on the right.", "cat", ("right", None)),
        ("A cup stands to the left of the cat.", "cup", (None, None)),  # says nothing of the picture
        ("A man raises his left hand.", "man", (None, None)),
        ("A cup is on top of a table.", "cup", (None, None)),
    ],
)
def test_places_go_to_the_thing_they_are_said_of(
    parser: SpacyParser, words: str, phrase: str, place: tuple[str | None, str | None]
) -> None:
    chunk = chunks(parser, words)[phrase]
    assert (chunk.side, chunk.level) == place


def test_a_text_without_tokens_has_no_chunks() -> None:
    assert noun_chunks([]) == []
