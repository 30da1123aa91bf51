"""Nested annotations become rows that find each other again by their ids."""

from __future__ import annotations

from fld_engine.engine.data.rows import RowWriter, annotations_by_image
from fld_engine.schemas.annotations import Annotations, Mask, Phrase, PhraseRegion, Source, Text

PERSON = Source(annotator="human", model="human", revision="r")


def caption(words: str, *spans: tuple[int, int]) -> Text:
    mask = Mask(polygons=((0, 0, 9, 0, 9, 9),), score=1)
    where = PhraseRegion(box_xyxy=(0, 0, 9, 9), score=1, masks=(mask,))
    phrases = [
        Phrase(phrase=words[slice(*span)], start=span[0], end=span[1], score=1, regions=(where,)) for span in spans
    ]
    return Text(granularity="brief", text=words, score=1, phrases=tuple(phrases), source=PERSON)


def test_phrases_hang_on_the_text_that_brought_them() -> None:
    writer = RowWriter()
    said = Annotations(texts=(caption("a cat"), caption("a dog and a cat", (0, 5), (10, 15)), caption("dogs", (0, 4))))
    # 3 texts, 3 phrases, a box and a mask of each
    assert writer.add("image", said) == 12
    tables = writer.tables()
    words = dict(zip(tables["texts"]["id"].to_pylist(), tables["texts"]["text"].to_pylist(), strict=True))
    rows = tables["phrases"].to_pylist()
    assert [(words[row["text_id"]], row["phrase"]) for row in rows] == [
        ("a dog and a cat", "a dog"), ("a dog and a cat", "a cat"), ("dogs", "dogs"),
    ]  # fmt: skip
    assert tables["phrase_regions"]["phrase_id"].to_pylist() == [row["id"] for row in rows]
    assert tables["masks"]["subject_id"].to_pylist() == tables["phrase_regions"]["id"].to_pylist()
    for name in ("phrases", "phrase_regions", "masks"):
        assert set(tables[name]["annotator"].to_pylist()) == {"human"}
    known = annotations_by_image(tables)["image"]
    assert [phrase.text_id for phrase in known.phrases] == [row["text_id"] for row in rows]
    assert [len(phrase.regions) for phrase in known.phrases] == [1, 1, 1]
