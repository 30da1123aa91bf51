"""Captions are the same text in whatever Arrow type they are stored, with rows that have none, and in any slice."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fld_engine.engine.sources.arrow_text import text_values
from fld_engine.engine.sources.captions import in_value

WORDS = ["a dog", None, "a cät", "", "a dog"]
LISTS: list[Any] = [["a dog", "a cat"], None, [], [None, "é"], ["a dog", "a dog"]]


def in_struct(values: list[Any], name: str) -> list[Any]:
    return [None if value is None else {"id": 1, name: value} for value in values]


FORMS: dict[str, tuple[pa.Array, list[Any]]] = {
    "string": (pa.array(WORDS), WORDS),
    "large string": (pa.array(WORDS, pa.large_string()), WORDS),
    "string view": (pa.array(WORDS, pa.string_view()), WORDS),
    "bytes": (pa.array([w and w.encode() for w in WORDS], pa.binary()), WORDS),
    "category": (pa.array(WORDS).dictionary_encode(), WORDS),
    "struct": (pa.array(in_struct(WORDS, "raw")), WORDS),
    "struct of a category": (
        pa.array(
            in_struct(WORDS, "text"), pa.struct([("id", pa.int8()), ("text", pa.dictionary(pa.int8(), pa.string()))])
        ),
        WORDS,
    ),
    "list": (pa.array(LISTS), LISTS),
    "large list": (pa.array(LISTS, pa.large_list(pa.string())), LISTS),
    "list view": (pa.array(LISTS, pa.list_view(pa.string())), LISTS),
    "list of categories": (pa.array(LISTS, pa.list_(pa.dictionary(pa.int32(), pa.string()))), LISTS),
    "list of structs": (pa.array([v and in_struct(v, "raw") for v in LISTS]), LISTS),
    "fixed-size list": (
        pa.array([["a", "b"], None, ["c", None]], pa.list_(pa.string(), 2)),
        [["a", "b"], None, ["c", None]],
    ),
    "list of lists": (pa.array([[["a"], ["b", "c"]], None]), [[["a"], ["b", "c"]], None]),
}


@pytest.mark.parametrize("form", FORMS)
def test_text_is_the_same_in_every_type_and_slice(form: str) -> None:
    column, right = FORMS[form]
    assert text_values(column) == right
    assert text_values(column.slice(1)) == right[1:], "tables are read in batches"


def test_what_is_no_text_comes_as_it_is_and_is_not_made_one() -> None:
    """A number is no caption, and a struct without text none either; the reader counts both."""
    assert text_values(pa.array([1, None])) == [1, None]
    assert text_values(pa.array([{"score": 0.5}])) == [{}]
    assert in_value([["a", ["b"]], "c", None]) == ["a", "b", "c"]
