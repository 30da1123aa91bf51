"""Composed texts are training data: one wrong article in a template is wrong in millions of captions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.annotators.common.coco_classes import COCO_CLASSES
from fld_engine.annotators.composed.english import (
    common_name,
    counted,
    definite,
    joined,
    plural,
    quotable,
    sentence,
    verb,
)


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("dog", "a dog"),
        ("apple", "an apple"),
        ("hourglass", "an hourglass"),  # silent h
        ("horse", "a horse"),
        ("unicorn", "a unicorn"),  # spoken "yoo"
        ("unicycle", "a unicycle"),
        ("umbrella", "an umbrella"),
        ("unidentified object", "an unidentified object"),
        ("European green lizard", "a European green lizard"),
        ("one-piece bathing suit", "a one-piece bathing suit"),  # spoken "w"
        ("ewe", "a ewe"),
        ("eel", "an eel"),
        ("CRT monitor", "a CRT monitor"),  # said letter by letter
        ("LCD screen", "an LCD screen"),
        ("SUV", "an SUV"),
        ("T-shirt", "a T-shirt"),
        ("iPod", "an iPod"),
        ("Airedale Terrier", "an Airedale Terrier"),
        ("8-ball", "an 8-ball"),
        ("scissors", "a pair of scissors"),
        ("sunglasses", "a pair of sunglasses"),
        ("broccoli", "some broccoli"),
        ("red wine", "some red wine"),
        ("mashed potatoes", "some mashed potatoes"),
        ("ear of grain", "an ear of grain"),
    ],
)
def test_one_of_a_noun_has_the_right_article(noun: str, expected: str) -> None:
    assert counted(noun).text == expected


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("person", "people"),
        ("snowman", "snowmen"),
        ("knife", "knives"),
        ("wolf", "wolves"),
        ("sheep", "sheep"),
        ("goldfish", "goldfish"),
        ("bus", "buses"),
        ("box", "boxes"),
        ("couch", "couches"),
        ("toothbrush", "toothbrushes"),
        ("wine glass", "wine glasses"),
        ("mouse", "mice"),
        ("computer mouse", "computer mice"),
        ("ladybug", "ladybugs"),
        ("teddy bear", "teddy bears"),
        ("butterfly", "butterflies"),
        ("toy", "toys"),
        ("volcano", "volcanoes"),
        ("piano", "pianos"),
        ("ear of grain", "ears of grain"),
        ("skis", "skis"),
    ],
)
def test_plurals(noun: str, expected: str) -> None:
    assert plural(noun) == expected


@pytest.mark.parametrize(
    ("noun", "count", "expected", "is_plural"),
    [
        ("dog", 2, "two dogs", True),
        ("person", 4, "four people", True),
        ("person", 5, "several people", True),
        ("person", 10, "several people", True),
        ("sheep", 11, "many sheep", True),
        ("scissors", 1, "a pair of scissors", False),
        ("scissors", 2, "two pairs of scissors", True),
        ("broccoli", 3, "some broccoli", False),  # cannot be counted
    ],
)
def test_counts_and_the_number_of_their_verb(noun: str, count: int, expected: str, is_plural: bool) -> None:
    assert counted(noun, count) == (expected, is_plural)


@pytest.mark.parametrize(
    ("noun", "count", "expected"),
    [
        ("dog", 1, "the dog"),
        ("dog", 2, "the two dogs"),
        ("dog", 7, "the dogs"),
        ("scissors", 1, "the pair of scissors"),
        ("broccoli", 1, "the broccoli"),
    ],
)
def test_what_was_spoken_of_before_is_definite(noun: str, count: int, expected: str) -> None:
    assert definite(noun, count).text == expected


def test_a_count_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        counted("dog", 0)


@pytest.mark.parametrize(
    ("stem", "singular", "plural_form"),
    [
        ("be seen", "is seen", "are seen"),
        ("appear", "appears", "appear"),
        ("can be seen", "can be seen", "can be seen"),
        ("take up", "takes up", "take up"),
        ("reach", "reaches", "reach"),
    ],
)
def test_verbs_agree(stem: str, singular: str, plural_form: str) -> None:
    assert (verb(stem, False), verb(stem, True)) == (singular, plural_form)


def test_lists_and_sentences() -> None:
    assert joined(["a"]) == "a"
    assert joined(["a", "b"]) == "a and b"
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert sentence("a  cat is seen ") == "A cat is seen."


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("tabby cat", "tabby cat"),
        ("great white shark, white shark, man-eater", "great white shark"),
        ("kite (bird of prey)", "kite"),
        ("golden_retriever", "golden retriever"),
        ("n02123045", ""),  # a number is no name
        ("<loc_1>", ""),
    ],
)
def test_labels_are_cleaned_to_one_common_name(label: str, expected: str) -> None:
    assert common_name(label) == expected


@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("STOP", "STOP"),
        ('say "no" now', "say no now"),
        ("two\nlines\t here", "two lines here"),
        ("<loc_1> exit", ""),  # could be taken for markup
        ("®", ""),
        ("O", ""),
        ("one two three four five six seven eight nine ten", "one two three four five six seven eight"),
    ],
)
def test_read_text_is_quoted_only_where_it_can_be(read: str, expected: str) -> None:
    assert quotable(read) == expected


@given(st.text(max_size=80))
def test_no_quotation_can_break_out_of_its_quotes(read: str) -> None:
    quoted = quotable(read)
    assert not set(quoted) & set('"“”<>\n\r\t')
    assert len(quoted) <= 40


@given(st.sampled_from(COCO_CLASSES), st.integers(1, 30))
def test_every_detector_class_can_be_counted(noun: str, count: int) -> None:
    words = counted(noun, count).text
    assert noun in words or plural(noun) in words
    assert definite(noun, count).text.startswith("the ")
