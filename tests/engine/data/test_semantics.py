from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.data.rows import RowWriter
from fld_engine.engine.data.semantics import parse_of
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Source, Text
from fld_engine.schemas.tables import TOKENS
from tests.sentences import CAR, CHASE, TOWER
from tests.tables import parse, rows

IDS = pa.array(["chase", "tower", "car"])


@pytest.fixture(scope="module")
def tokens() -> pa.Table:
    return rows("tokens", *parse("chase", CHASE), *parse("tower", TOWER), *parse("car", CAR))


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        ("word", [8, 5, 9]),  # the full stop is none
        ("object", [2, 2, 2]),  # "Eiffel" and "traffic" are parts of a name
        ("attribute", [3, 0, 3]),  # numbers and participles count, parts of a proper name do not
        ("action", [1, 0, 0]),  # neither auxiliaries nor participles in front of a noun
        ("proper_noun", [0, 2, 0]),
    ],
)
def test_counts_by_hand(tokens: pa.Table, role: str, expected: list[int]) -> None:
    parsed = parse_of(tokens, IDS)
    assert parsed.count(getattr(parsed, role)).tolist() == expected


def test_complexity_is_the_mean_degree_and_zero_without_any(tokens: pa.Table) -> None:
    parsed = parse_of(tokens, IDS)
    assert parsed.complexity(parsed.object).tolist() == [(3 + 3) / 2, (3 + 1) / 2, (4 + 3) / 2]
    assert parsed.complexity(parsed.action).tolist() == [4, 0, 0]


def test_degrees_of_a_tree_add_up_to_twice_its_edges(tokens: pa.Table) -> None:
    parsed = parse_of(tokens, IDS)
    everything = np.ones(len(parsed.text), dtype=bool)
    assert parsed.degrees(everything).tolist() == [2 * (9 - 1), 2 * (5 - 1), 2 * (9 - 1)]


def test_order_of_rows_and_texts_of_others_change_nothing(tokens: pa.Table) -> None:
    shuffled = tokens.take(np.random.default_rng(0).permutation(tokens.num_rows))
    expected = parse_of(tokens, IDS)
    found = parse_of(shuffled, pa.array(["tower", "chase"]))
    assert found.count(found.object).tolist() == [2, 2]
    assert found.degrees(found.object).tolist() == expected.degrees(expected.object)[[1, 0]].tolist()


def test_a_head_that_is_no_token_of_the_text_has_no_edge() -> None:
    parsed = parse_of(rows("tokens", *parse("t", ["dog/NOUN/nsubj/7", "runs/VERB/ROOT/1"])), pa.array(["t"]))
    assert parsed.degree.tolist() == [0, 0]


def test_text_without_tokens_is_not_parsed() -> None:
    parsed = parse_of(TOKENS.empty_table(), pa.array(["nothing"]))
    assert parsed.parsed.tolist() == [False]
    assert parsed.complexity(parsed.object).tolist() == [0]


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, 11), 3),  # "A brown dog"
        ((2, 11), 2),  # without its article
        ((23, 37), 3),  # "two white cats"
        ((23, 39), 3),  # the full stop is no word
        ((11, 12), 0),  # a space
    ],
)
def test_words_of_a_span(tokens: pa.Table, span: tuple[int, int], expected: int) -> None:
    parsed = parse_of(tokens, pa.array(["tower", "chase"]))
    start, end = (np.array([place], dtype=np.int64) for place in span)
    assert parsed.words_between(np.array([1]), start, end).tolist() == [expected]


def test_the_real_pipeline_writes_the_labels_the_rules_look_for() -> None:
    """A pipeline with other labels would silently count nothing."""
    parser = SpacyParser()
    parser.load()
    text = Text(id="t", granularity="brief", text="A brown dog is chasing two white cats in Paris.", score=1.0)
    known = Annotations(texts=(text,))
    writer = RowWriter()
    source = Source(annotator="parser", model="m", revision="r")
    for found in parser.annotate([Sample(id="image", width=9, height=9, known=known)]):
        writer.add("image", found, source)
    parsed = parse_of(writer.tables()["tokens"], pa.array(["t"]))
    roles = ("word", "object", "attribute", "action", "proper_noun")
    assert [int(parsed.count(getattr(parsed, role))[0]) for role in roles] == [10, 3, 3, 1, 1]
