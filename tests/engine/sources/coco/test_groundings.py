"""Captions whose phrases people put in their place, in the layout of MDETR."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.engine.sources.authors import Author
from fld_engine.engine.sources.coco.groundings import parse_grounded_caption
from fld_engine.engine.sources.item import Rejected, SourceItem
from fld_engine.engine.sources.texts import clean_span, clean_text
from fld_engine.schemas.annotations import Source, Text
from tests.engine.sources.coco.test_source import scan
from tests.hostile import jpeg

AUTHOR = Author(Source(annotator="human", model="human", revision="r"), 1.0)
CAPTION = "a man and a dog, the dog sleeps"
MAN, DOG, AGAIN = [0, 5], [10, 15], [17, 24]
BOX = [10, 20, 30, 40]
"""x y width height"""


def grounding(*spans: Any, box: Any = BOX, image: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "image_id": image, "category_id": 1, "bbox": box, "area": 1200, "iscrowd": 0,
        "tokens_positive": list(spans), **more,
    }  # fmt: skip


def write(folder: Path, rows: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> Path:
    (folder / "cat.jpg").write_bytes(jpeg())
    size = {"width": 451, "height": 300, "dataset_name": "flickr", "tokens_negative": []}
    tree = {
        "info": [], "licenses": [], "categories": [{"supercategory": "object", "id": 1, "name": "object"}],
        "images": [{"id": i, "file_name": "cat.jpg", **size, **row} for i, row in enumerate(rows)],
        "annotations": [{"id": i, **annotation} for i, annotation in enumerate(annotations)],
    }  # fmt: skip
    (folder / "grounded.json").write_text(json.dumps(tree))
    return folder / "grounded.json"


def said(item: SourceItem) -> dict[str, list[tuple[str, int, int, list[tuple[float, ...]]]]]:
    """Caption → phrase, start, end and boxes of each of its phrases."""
    return {
        text.text: [(p.phrase, p.start, p.end, [r.box_xyxy for r in p.regions]) for p in text.phrases]
        for text in item.annotations.texts
    }


def test_spans_of_a_caption_become_its_phrases(tmp_path: Path) -> None:
    told = [
        grounding(AGAIN, DOG, box=[100, 100, 50, 50]),
        grounding(MAN),
        grounding(DOG, box=[200, 100, 300, 50]),
    ]
    items, rejected = scan(write(tmp_path, [{"caption": CAPTION}], told), gold=True)
    assert not rejected
    first, second = (100.0, 100.0, 150.0, 150.0), (200.0, 100.0, 451.0, 150.0)
    assert said(items["cat.jpg"]) == {
        CAPTION: [
            ("a man", 0, 5, [(10.0, 20.0, 40.0, 60.0)]),
            ("a dog", 10, 15, [first, second]),
            ("the dog", 17, 24, [first]),
        ]
    }
    assert not items["cat.jpg"].annotations.regions, "'object' is nobody's name for it"
    (text,) = items["cat.jpg"].annotations.texts
    assert text.granularity == "brief"
    for one in (text, *text.phrases):
        assert one.source is not None
        assert (one.source.annotator, len(one.source.revision)) == ("human", 12)
        assert one.score == 1.0


def test_captions_of_one_file_stand_side_by_side(tmp_path: Path) -> None:
    """Flickr30k Entities has five of them for each photograph."""
    told = [grounding([0, 5]), grounding([4, 7], image=1), grounding([0, 5], image=2)]
    rows = [{"caption": "A cat."}, {"caption": "The cat looks up."}, {}]
    items, rejected = scan(write(tmp_path, rows, told))
    assert {caption: [p[0] for p in phrases] for caption, phrases in said(items["cat.jpg"]).items()} == {
        "A cat.": ["A cat"],
        "The cat looks up.": ["cat"],
    }
    assert [r.reason for r in rejected] == ["no_caption"], "a record without a caption of its own"


def test_masks_come_with_their_box(tmp_path: Path) -> None:
    outline = [[10, 20, 40, 20, 40, 60]]
    items, _ = scan(write(tmp_path, [{"caption": CAPTION}], [grounding(MAN, segmentation=outline)]))
    ((region,),) = [phrase.regions for phrase in items["cat.jpg"].annotations.texts[0].phrases]
    assert region.masks[0].polygons == ((10.0, 20.0, 40.0, 20.0, 40.0, 60.0),)


@pytest.mark.parametrize(
    ("caption", "spans", "phrases"),
    [
        (CAPTION, [[0, 1], [2, 5]], ["a man"]),  # word by word
        (CAPTION, [[2, 5], [0, 1]], ["a man"]),
        (CAPTION, [[0, 3], [2, 5]], ["a man"]),  # overlapping
        (CAPTION, [[0, 5], [2, 5]], ["a man"]),  # one inside the other
        (CAPTION, [[10, 15], [17, 24]], ["a dog", "the dog"]),  # a comma between them
        (CAPTION, [[0, 6]], ["a man"]),  # with the space after it
        ("  A cat.", [[2, 7]], ["A cat"]),  # counted in the caption as it stands there
        ("A\u0000 c\ud800at.", [[0, 7]], ["A cat"]),
        ("Ein Mädchen", [[4, 11]], ["Mädchen"]),  # characters, not bytes
    ],
)
def test_spans_around_words(tmp_path: Path, caption: str, spans: list[list[int]], phrases: list[str]) -> None:
    items, rejected = scan(write(tmp_path, [{"caption": caption}], [grounding(*spans)]))
    assert not rejected
    (text,) = items["cat.jpg"].annotations.texts
    assert [phrase.phrase for phrase in text.phrases] == phrases
    assert [text.text[phrase.start : phrase.end] for phrase in text.phrases] == phrases


@pytest.mark.parametrize(
    ("row", "told", "reason", "num_texts"),
    [
        ({"caption": CAPTION}, grounding(), "bad_span", 1),
        ({"caption": CAPTION}, grounding([0, 99]), "bad_span", 1),
        ({"caption": CAPTION}, grounding([-5, 5]), "bad_span", 1),
        ({"caption": CAPTION}, grounding([5, 5]), "bad_span", 1),
        ({"caption": CAPTION}, grounding([1, 2]), "bad_span", 1),  # a space
        ({"caption": CAPTION}, grounding(MAN, [0, 99]), "bad_span", 1),
        ({"caption": CAPTION}, grounding([0, 5, 7]), "bad_span", 1),
        ({"caption": CAPTION}, grounding([0.0, 5.0]), "bad_span", 1),
        ({"caption": CAPTION}, grounding(MAN, tokens_positive="a man"), "bad_span", 1),
        ({"caption": CAPTION}, grounding(MAN, tokens_positive=None), "bad_span", 1),
        ({"caption": CAPTION}, grounding(MAN, box=[500, 0, 5, 5]), "box_outside", 1),
        ({"caption": CAPTION}, grounding(MAN, box=[1, 2, 3]), "box_malformed", 1),
        ({"caption": CAPTION}, grounding(MAN, iscrowd=1), "crowd", 1),
        ({"caption": CAPTION, "width": 300}, grounding(MAN), "frame_mismatch", 1),
        ({}, grounding(MAN), "no_caption", 0),
        ({"caption": ["A cat."]}, grounding(MAN), "no_caption", 0),
        ({"caption": "  "}, grounding([0, 1]), "no_caption", 0),
    ],
)
def test_what_cannot_be_used_is_one_rejected_row(
    tmp_path: Path, row: dict[str, Any], told: dict[str, Any], reason: str, num_texts: int
) -> None:
    items, rejected = scan(write(tmp_path, [row], [told]))
    assert [(r.reason, r.what) for r in rejected] == [(reason, "annotation")]
    assert all(r.detail for r in rejected)
    texts = items["cat.jpg"].annotations.texts
    assert len(texts) == num_texts, "the caption itself is as good as before"
    assert not any(text.phrases for text in texts)


def test_a_caption_that_is_rejected_takes_its_groundings_with_it(tmp_path: Path) -> None:
    items, rejected = scan(write(tmp_path, [{"caption": "x" * 20_001}], [grounding([0, 5])]))
    assert [r.reason for r in rejected] == ["text_too_long", "no_caption"]
    assert not items["cat.jpg"].annotations.texts


CAPTIONS = st.text(alphabet="ab ,\n\u0000\ud800é", min_size=1, max_size=12)


@given(caption=CAPTIONS, data=st.data())
def test_a_span_of_a_clean_caption_holds_the_words_it_held_before(caption: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(caption)))
    end = data.draw(st.integers(start, len(caption)))
    first, last = clean_span(caption, start, end)
    assert clean_text(caption)[first:last] == clean_text(caption[start:end])


@given(caption=CAPTIONS, spans=st.lists(st.lists(st.integers(-1, 13), min_size=2, max_size=2), max_size=4))
def test_every_phrase_is_its_span_and_none_is_empty(caption: str, spans: list[list[int]]) -> None:
    record = {"bbox": BOX, "tokens_positive": spans}
    found = list(parse_grounded_caption({"caption": caption}, "caption", [("box", record)], (451, 300), AUTHOR))
    texts = [one for one in found if isinstance(one, Text)]
    phrases = [(text.text, phrase) for text in texts for phrase in text.phrases]
    assert all(text[phrase.start : phrase.end] == phrase.phrase for text, phrase in phrases)
    assert all(phrase.phrase.strip() == phrase.phrase for _, phrase in phrases)
    assert bool(phrases) != any(isinstance(one, Rejected) for one in found), "used or refused, and never both"
    named = "".join(caption[start:end] for start, end in spans) if phrases else ""
    letters = {letter for letter in named if letter.isalpha()}
    assert letters <= {letter for _, phrase in phrases for letter in phrase.phrase}, "no letter of it is lost"
