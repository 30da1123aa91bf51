"""A name is one name however it is written, and two names stay two."""

from __future__ import annotations

import pytest

from fld_engine.schemas.names import name_key, same_name


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("person", "Person"),  # Objects365, Open Images
        ("person", " PERSON\t"),  # cells of a table
        ("traffic light", "traffic_light"),  # LVIS, ImageNet
        ("traffic light", "Traffic-Light"),
        ("traffic light", "traffic  light"),
        ("traffic light", "traffic\u00a0light"),  # copied from a page
        ("traffic light", "traffic\u2013light"),
        ("straße", "STRASSE"),
        ("café", "cafe\u0301"),  # as macOS spells it
        ("jalapeño", "jalapeno"),  # as a student can say it
        ("kettle", "ｋｅｔｔｌｅ"),  # full width
        ("김밥", "\u1100\u1175\u11b7\u1107\u1161\u11b8"),  # the same syllables, letter by letter
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
        ("ice\u00adcream", "icecream"),  # a soft hyphen, which nobody sees
    ],
)
def test_spellings_of_one_name(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)
    assert same_name(one, other)
    assert name_key(name_key(one)) == name_key(one), "a key is its own key"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "cats"),
        ("traffic light", "trafficlight"),
        ("か", "が"),  # these marks are letters
        ("김밥", "떡"),
        ("cat", ""),
        ("_", ""),
        ("-", "_"),
    ],
)
def test_other_names(one: str, other: str) -> None:
    assert not same_name(one, other)


@pytest.mark.parametrize("name", ["person", "traffic light", "cat2", "a c"])
def test_a_plain_name_is_its_own_key(name: str) -> None:
    """So that nothing that was made of plain names is made anew."""
    assert name_key(name) == name
