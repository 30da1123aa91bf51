"""What regions are called."""

from __future__ import annotations

import pyarrow as pa
import pytest

from fld_engine.engine.data.region_names import class_rank, region_classes
from tests.tables import rows


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        # in the order of the regions, not of their texts
        ([("r2", "phrase", "cat"), ("r1", "phrase", "dog")], ["dog", "cat"]),
        # of several that are as sure, the first in the alphabet
        ([("r1", "phrase", "puppy"), ("r1", "phrase", "dog"), ("r2", "phrase", "cat")], ["dog", "cat"]),
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


def test_the_surest_name_is_the_class() -> None:
    """A ranker may add a better name to a region: filters, figures and `<OD>` go by it, in the order of samples."""
    regions = rows("regions", {"id": "r1"}, {"id": "r2"}, {"id": "r3"})
    said = [
        ("r2", "phrase", "Cat", 0.9, "m"), ("r1", "brief", "a dog", 1.0, "m"), ("r1", "phrase", "Dog", 0.4, "m"),
        ("r1", "phrase", "Puppy", 0.6, "m"), ("r2", "phrase", "Kitten", 0.9, "m"), ("r3", "phrase", "cow", 1.0, "m"),
        ("r3", "phrase", "ox", 1.0, "human"),
    ]  # fmt: skip
    columns = ("region_id", "kind", "text", "score", "annotator")
    table = rows("region_texts", *(dict(zip(columns, row, strict=True)) for row in said))
    assert region_classes(regions, table).to_pylist() == ["Puppy", "Cat", "ox"], "a person's before a model's"
    ranked = sorted(table.to_pylist(), key=class_rank)
    first = {row["region_id"]: row["text"] for row in reversed(ranked) if row["kind"] == "phrase"}
    assert first == {"r1": "Puppy", "r2": "Cat", "r3": "ox"}
