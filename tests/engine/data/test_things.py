"""Which names of classes mean one thing: what decides whether a picture is said to hold one thing or two."""

from __future__ import annotations

import pytest

from fld_engine.engine.data.things import is_kind_of, same_thing


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # one class in two vocabularies
        ("motorbike", "motorcycle"),
        ("sofa", "couch"),
        ("aeroplane", "airplane"),
        ("tvmonitor", "tv"),
        ("television", "tv"),
        ("cell phone", "mobile phone"),
        ("Traffic_light", "traffic light"),
        ("diningtable", "dining table"),
        ("donut", "doughnut"),
        ("hair drier", "hair dryer"),
        ("refrigerator", "fridge"),
        # a kind of the other
        ("poodle", "dog"),
        ("golden retriever", "dog"),
        ("man", "person"),
        ("Lady", "person"),
        ("table", "dining table"),
        ("potted plant", "houseplant"),
        ("suv", "car"),
        ("vehicle", "car"),
        ("animal", "horse"),
        # no name of its own, but that of its head
        ("big brown dog", "dog"),
        ("cup of tea", "cup"),
        ("office chair", "chair"),
        # several of it
        ("knives", "knife"),
        ("women", "person"),
        # a name that is not in the table
        ("Hanbok", "hanbok"),
        ("김밥", "김밥"),
    ],
)
def test_these_are_one_thing(one: str, other: str) -> None:
    assert same_thing(one, other)
    assert same_thing(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("person", "motorcycle"),
        ("person", "dog"),
        ("cat", "dog"),  # kinds of one thing, and neither of the other
        ("car", "bus"),
        ("chair", "person"),  # a chair is a chairman, too, but never on a picture
        ("hot dog", "dog"),
        ("hot dog", "person"),
        ("toaster", "person"),
        ("teddy bear", "bear"),
        ("shirt", "person"),
        ("bolt", "nut"),
        ("김밥", "비빔밥"),  # unknown names are the same where they are equal
        ("", "person"),
    ],
)
def test_these_are_two(one: str, other: str) -> None:
    assert not same_thing(one, other)
    assert not same_thing(other, one)


def test_which_of_two_names_says_more() -> None:
    assert is_kind_of("poodle", "dog")
    assert not is_kind_of("dog", "poodle")
