from __future__ import annotations

import pyarrow as pa
import pytest

from fld_engine.filters.columns import by_human, region_classes
from tests.tables import rows


@pytest.mark.parametrize("table", ["texts", "regions", "region_texts", "phrases", "phrase_regions"])
def test_people_are_told_from_models(table: str) -> None:
    given = rows(table, *({"annotator": name} for name in ("human", "web", "nanodet", "humanoid", "")))
    assert by_human(given).tolist() == [True, False, False, False, False]
    assert by_human(given.slice(0, 0)).tolist() == []


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
