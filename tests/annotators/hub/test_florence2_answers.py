"""Answers of Florence-2 that a model may well give, good and bad, with the scores of their tokens."""

from __future__ import annotations

import math

import pytest

from fld_engine.annotators.checkpoints.generation import Generated
from fld_engine.annotators.hub.florence2_answers import (
    Answer,
    read_grounding,
    read_mask,
    read_reference,
    read_region_text,
    read_regions,
    read_scene_text,
    read_text,
    spelled,
)
from fld_engine.schemas.annotations import Annotations, Phrase
from tests.annotators.builders import text, thing
from tests.florence2_processor import build_tokenizer

WH = (1000, 1000)
"""One pixel a bin: bin n is n + 0.5 px."""


def spoken(*pieces: tuple[str, float]) -> Answer:
    """An answer of words and single tokens, each with one probability."""
    words, stretches = "", []
    for piece, chance in pieces:
        stretches.append((len(words), len(words) + len(piece), (chance,)))
        words += piece
    return Answer(words, tuple(stretches))


def place(*bins: int, chance: float = 0.5) -> list[tuple[str, float]]:
    return [(f"<loc_{n}>", chance) for n in bins]


def test_tokens_are_spelled_with_their_probabilities() -> None:
    """Words of several tokens stand together; a character may be spread over tokens."""
    tokenizer = build_tokenizer()
    ids = tokenizer("cat é<loc_3><loc_4>dog", add_special_tokens=False)["input_ids"]
    answer = spelled(Generated(tuple(ids), tuple(0.9 for _ in ids)), tokenizer)
    assert answer.text == "cat é<loc_3><loc_4>dog"
    assert [answer.text[start:end] for start, end, _ in answer.stretches] == ["cat é", "<loc_3>", "<loc_4>", "dog"]
    assert [len(chances) for _, _, chances in answer.stretches][1:3] == [1, 1]
    assert sum(len(chances) for _, _, chances in answer.stretches) == len(ids)
    assert spelled(Generated((), ()), tokenizer) == Answer("", ())


def test_a_box_has_the_score_of_its_tokens_and_a_label_that_of_its_words() -> None:
    answer = spoken(("cat", 0.8), *place(1, 2, 3, 4, chance=0.4), *place(5, 6, 7, 8, chance=0.6), ("dog", 0.2))
    found = read_regions(answer, "<OD>", WH)
    assert [(r.box_xyxy, r.score, r.texts[0].text, r.texts[0].score) for r in found.regions] == [
        ((1.5, 2.5, 3.5, 4.5), 0.4, "cat", 0.8),
        ((5.5, 6.5, 7.5, 8.5), 0.6, "cat", 0.8),
    ]


def test_what_is_empty_upside_down_unfinished_or_said_twice_is_passed_over() -> None:
    boxes = [(1, 2, 3, 4), (1, 2, 1, 4), (5, 9, 7, 8), (1, 2, 3, 4), (9, 9, 20, 20)]
    answer = spoken(("cat", 0.8), *(token for box in boxes for token in place(*box)), *place(7, 8, 9))
    found = read_regions(answer, "<OD>", WH)
    assert [r.box_xyxy for r in found.regions] == [(1.5, 2.5, 3.5, 4.5), (9.5, 9.5, 20.5, 20.5)]


def test_read_text_has_corners_and_a_box_around_them() -> None:
    quad = (10, 20, 200, 25, 210, 60, 5, 50)
    (region,) = read_scene_text(spoken(("STOP", 0.7), *place(*quad)), WH).regions
    assert region.quad == tuple(n + 0.5 for n in quad)
    assert region.box_xyxy == (5.5, 20.5, 210.5, 60.5)
    assert (region.score, region.texts[0].score) == (0.5, 0.7)


def test_phrases_are_found_in_their_text_one_after_the_other() -> None:
    said = text("a dog beside a dog and a cat", "t7")
    answer = spoken(
        *[("a dog", 0.9), *place(1, 2, 3, 4), ("a dog", 0.8), *place(5, 6, 7, 8, chance=0.6)],
        *[("a bird", 0.7), *place(1, 2, 3, 4), ("a cat", 0.6), *place(9, 9, 9, 9)],
    )
    phrases = read_grounding(answer, said, WH).phrases
    assert [(p.text_id, p.phrase, p.start, p.end, p.score) for p in phrases] == [
        ("t7", "a dog", 0, 5, 0.9),
        ("t7", "a dog", 13, 18, 0.8),
    ]
    assert [[r.score for r in p.regions] for p in phrases] == [[0.5], [0.6]]


def test_a_phrase_that_refers_to_nothing_keeps_its_place_with_score_0() -> None:
    phrase = Phrase(text_id="t", phrase="cat", start=2, end=5, score=0.0)
    assert read_reference(spoken(("no mask", 0.9)), phrase, WH) == Annotations(phrases=(phrase,))
    (found,) = read_reference(spoken(*place(1, 1, 90, 1, 90, 90, chance=0.3)), phrase, WH).phrases
    assert found.score == 0.3
    assert found.regions[0].masks[0].polygons == ((1.5, 1.5, 90.5, 1.5, 90.5, 90.5),)


def test_a_mask_of_a_region_is_all_polygons_of_the_answer() -> None:
    region = thing("dog", (1, 1, 90, 90), 0.9, "r")
    triangles = [*place(1, 1, 90, 1, 90, 90), ("<sep>", 0.5), *place(2, 2, 3, 2, 3, 3)]
    (mask,) = read_mask(spoken(*triangles), region, WH).masks
    assert (mask.subject_id, len(mask.polygons), mask.score) == ("r", 2, 0.5)
    assert read_mask(spoken(*place(1, 1)), region, WH) == Annotations()


@pytest.mark.parametrize("words", ["", "  "])
def test_an_empty_answer_is_no_annotation(words: str) -> None:
    region = thing("dog", (1, 1, 90, 90), 0.9, "r")
    assert read_text(spoken((words, 0.5)), "brief") == Annotations()
    assert read_region_text(spoken((words, 0.5)), region, "brief") == Annotations()
    assert read_regions(spoken((words, 0.5)), "<OD>", WH) == Annotations()


def test_a_text_has_the_geometric_mean_of_its_tokens() -> None:
    (said,) = read_text(spoken(("a ", 0.9), ("cat ", 0.4)), "detailed").texts
    assert (said.text, said.granularity) == ("a cat", "detailed")
    assert said.score == pytest.approx(math.sqrt(0.36), abs=1e-4)
