"""The settings of a model as rows that a person can look one up in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import pytest
from pydantic import Field

from fld_engine.engine.inspect.parameters import Parameter, parameters
from fld_engine.schemas.annotations import Frozen


class Inner(Frozen):
    """How deep."""

    depth: int = Field(default=1, gt=0, description="in layers")
    parts: tuple[Inner, ...] = ()


class Outer(Frozen):
    """A model with one setting of each kind."""

    must: str = Field(min_length=1)
    mode: Literal["fast", "exact"] = "fast"
    share: float | None = Field(default=None, ge=0, le=1, description="of the\n  images")
    inner: Inner = Inner(depth=7)
    maybe: Inner | None = None
    named: Mapping[str, Inner] = Field(default_factory=dict)
    listed: tuple[Inner, ...] = ()
    weights: Mapping[str, float] = Field(default_factory=lambda: {"a": 0.5})
    pair: tuple[int, float] = (1, 2.0)
    chosen: frozenset[str] = frozenset({"b", "a"})
    follows: str = Field(default_factory=lambda data: data["must"])


ROWS = {row.name: row for row in parameters(Outer)}


@pytest.mark.parametrize(
    ("name", "type_", "default", "bounds"),
    [
        ("must", "string", "required", "at least 1 characters"),
        ("mode", "fast | exact", '"fast"', ""),
        ("share", "number or null", "null", "≥ 0, ≤ 1"),
        ("inner", "settings", "", ""),
        ("inner.depth", "integer", "7", "> 0"),  # the default of the place, not that of the model
        ("maybe", "settings or null", "null", ""),
        ("maybe.depth", "integer", "1", "> 0"),
        ("named", "mapping to settings", "{}", ""),
        ("named.NAME.depth", "integer", "1", "> 0"),
        ("listed", "list of settings", "[]", ""),
        ("listed[].depth", "integer", "1", "> 0"),
        ("weights", "mapping to number", '{"a": 0.5}', ""),
        ("pair", "[integer, number]", "[1, 2.0]", "at least 2 items, at most 2 items"),
        ("chosen", "list of string", '["a", "b"]', ""),
        ("follows", "string", "", ""),
    ],
)
def test_every_setting_has_its_type_default_and_bounds(name: str, type_: str, default: str, bounds: str) -> None:
    row = ROWS[name]
    assert (row.type, row.default_text, row.bounds) == (type_, default, bounds)


def test_descriptions_are_on_one_line_and_a_group_says_what_its_model_says() -> None:
    assert ROWS["share"].description == "of the images"
    assert ROWS["inner"].description == "How deep."


def test_a_model_that_holds_itself_is_said_once() -> None:
    assert [row.name for row in parameters(Inner)] == ["depth", "parts"]


def test_a_model_without_settings_has_no_rows() -> None:
    assert parameters(Frozen) == ()
    assert isinstance(ROWS["must"], Parameter)
