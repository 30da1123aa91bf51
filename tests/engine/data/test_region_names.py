"""What regions are called."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fld_engine.engine.data.region_names import class_names, region_classes
from tests.tables import rows


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        # in the order of the regions, not of their texts
        ([("r2", "phrase", "cat"), ("r1", "phrase", "dog")], ["dog", "cat"]),
        # the first of several
        ([("r1", "phrase", "dog"), ("r1", "phrase", "puppy"), ("r2", "phrase", "cat")], ["dog", "cat"]),
        # a brief text, a chunk or what is read is no class
        ([("r1", "brief", "a dog"), ("r1", "chunk", "dog"), ("r2", "ocr", "STOP")], ["", ""]),
        # one of two has a name
        ([("r2", "phrase", "cat")], ["", "cat"]),
        # a text of a region that is not asked about
        ([("r9", "phrase", "cow")], ["", ""]),
        # no texts at all
        ([], ["", ""]),
    ],
)
def test_classes(texts: list[tuple[str, str, str]], expected: list[str]) -> None:
    regions = rows("regions", {"id": "r1"}, {"id": "r2"})
    region_texts = rows("region_texts", *({"region_id": r, "kind": kind, "text": text} for r, kind, text in texts))
    assert region_classes(regions, region_texts).to_pylist() == expected
    assert region_classes(regions.slice(0, 0), region_texts).to_pylist() == []


def test_classes_of_tables_read_in_pieces() -> None:
    """Tables of several annotators are joined without copying: their columns come in chunks."""
    regions = pa.concat_tables([rows("regions", {"id": "r1"}), rows("regions"), rows("regions", {"id": "r2"})])
    region_texts = pa.concat_tables(
        rows("region_texts", {"region_id": r, "kind": "phrase", "text": text})
        for r, text in (("r2", "cat"), ("r1", "dog"))
    )
    assert region_classes(regions, region_texts).to_pylist() == ["dog", "cat"]


def test_a_figure_shows_the_surest_name_and_a_filter_the_first() -> None:
    """A ranker may add a better name to a region; its own detector's is what overlaps are compared by."""
    regions = rows("regions", {"id": "r1"}, {"id": "r2"})
    said = [("r2", "Cat", 0.9), ("r1", "Dog", 0.4), ("r1", "Puppy", 0.6), ("r2", "Kitten", 0.9)]
    region_texts = rows(
        "region_texts", *({"region_id": r, "kind": "phrase", "text": text, "score": score} for r, text, score in said)
    )
    assert region_classes(regions, region_texts).to_pylist() == ["Dog", "Cat"]
    assert class_names(regions, region_texts).to_pylist() == ["puppy", "cat"]
    assert class_names(regions, region_texts, lower=False).to_pylist() == ["Puppy", "Cat"]
