"""Roots name people, the web and refinement on their rows: these words must be read for ever."""

from __future__ import annotations

import pytest

from fld_engine.schemas.annotations import Source
from fld_engine.schemas.origins import ANNOTATOR_WORDS, Origin, origin_of


@pytest.mark.parametrize(
    ("annotator", "composed", "expected"),
    [
        ("human", False, Origin.HUMAN),
        ("class_folder", False, Origin.CLASS_FOLDER),
        ("web", False, Origin.WEB),
        ("refinement", False, Origin.REFINEMENT),
        ("nanodet", False, Origin.SPECIALIST),
        ("specialist", False, Origin.SPECIALIST),
        ("specialist-3", False, Origin.SPECIALIST),  # what refinement calls the model that it makes after the rounds
        ("composed", False, Origin.SPECIALIST),  # somebody's name for an annotator; the column tells
        ("composed-captioner", True, Origin.COMPOSED),
    ],
)
def test_a_row_tells_where_it_comes_from(annotator: str, composed: bool, expected: Origin) -> None:
    assert origin_of(annotator, composed=composed) is expected


def test_words_on_rows_are_those_of_every_root_there_is() -> None:
    assert {str(word) for word in ANNOTATOR_WORDS} == {"human", "class_folder", "web", "refinement"}


def test_a_source_holds_the_plain_word() -> None:
    """Ids of annotations are hashes of it, and tables are grouped by it."""
    assert type(Source(annotator=Origin.HUMAN, model="", revision="").annotator) is str
