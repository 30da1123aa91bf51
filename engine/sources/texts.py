"""Texts and names as they are stored: without what no table or terminal can hold."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

MAX_TEXT_CHARS = 20_000
"""Longer captions are rejected: FLD-5B's longest granularity averages 70 tokens."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def printable(name: str) -> str:
    """A name that can be stored: what is not UTF-8 in it comes out as escapes such as `\\udcff`."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


Printable = Annotated[str, BeforeValidator(printable)]


def clean_text(text: str) -> str:
    """A caption as it is stored: control characters and lone surrogates removed, outer white space stripped.

    Everything else stays as it was written: markup and `<loc_1>` are text like any other.
    """
    return _without_control(text).strip()


def clean_span(text: str, start: int, end: int) -> tuple[int, int]:
    """Where characters [start, end) of a text stand in `clean_text` of it, without white space at either end.

    An empty span where nothing of them is left.
    """
    whole, before, inside = map(_without_control, (text, text[:start], text[start:end]))
    indent = len(whole) - len(whole.lstrip())
    first = len(before) + len(inside) - len(inside.lstrip()) - indent
    return first, first + len(inside.strip())


def _without_control(text: str) -> str:
    return _CONTROL.sub("", text.encode("utf-8", "ignore").decode("utf-8"))
