"""Values of label files as tools write them: ids, numbers and flags that are text, floats or text of text.

What can mean one thing only is read as that. Anything else raises `ValueError`, or is none.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from fld_engine.engine.sources.texts import clean_text

_WHOLE = re.compile(r"([+-]?\d{1,3}(?:,\d{3})+|[+-]?\d+)(?:\.0+)?")
"""A whole number as text, perhaps with commas between thousands or with a decimal that a table gave it."""


def id_key(value: Any) -> str:
    """An id without its type: 1, 1.0, "1" and "1.0" are one; empty for what is none."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value.is_integer() else ""
    if isinstance(value, str):
        text = value.strip()
        whole = _WHOLE.fullmatch(text)
        return whole[1].replace(",", "").removeprefix("+") if whole else text
    return ""


class Ids:
    """Ids that something is known by; one with zeros before it is found without them, where no other is meant."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        self._known = known
        self._bare: dict[str, str] = {}
        for key in known:
            if key.isdigit() and key != (bare := _bare(key)):
                self._bare[bare] = "" if bare in self._bare else key

    def find(self, value: Any) -> str:
        """The known id that a value means; empty where it means none."""
        key = id_key(value)
        if key in self._known or not key.isdigit():
            return key if key in self._known else ""
        bare = _bare(key)
        return bare if bare in self._known else self._bare.get(bare, "")


def _bare(key: str) -> str:
    return key.lstrip("0") or "0"


def number(value: Any) -> float:
    """A number, or text that is one; a comma may stand for the decimal point. Raises `ValueError`."""
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a number")
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[+-]?\d*,\d+", text) and not _WHOLE.fullmatch(text):
            text = text.replace(",", ".")
        return float(text)
    raise ValueError(f"{value!r} is not a number"[:120])


def finite(value: Any) -> float:
    """A number as `number` has it that is finite. Raises `ValueError`."""
    found = number(value)
    if not math.isfinite(found):
        raise ValueError(f"{value!r} is no finite number")
    return found


def whole(value: Any) -> int | None:
    """A whole number, or one that is written as text; `None` for anything else."""
    try:
        found = finite(value)
    except ValueError:
        return None
    return int(found) if found.is_integer() else None


def numbers(values: Any) -> list[float]:
    """A list of numbers, of texts that are numbers, or one text of both. Raises `ValueError`."""
    if isinstance(values, str):
        text = values.strip().strip("[]()")
        parts = re.split(r"[;\s]+" if re.search(r"\d,\d+[;\s]", text) else r"[,;\s]+", text)
        return [float(part.replace(",", ".")) for part in parts if part]
    if not isinstance(values, list):
        raise ValueError(f"{values!r} is not a list of numbers"[:120])
    return [number(value) for value in values]


def flag(value: Any) -> bool:
    """Whether something is set: 1, 1.0, "1", "true"; anything that is no yes is a no."""
    if isinstance(value, str):
        return value.strip().lower() in ("1", "1.0", "true", "yes")
    return bool(value) and value == value  # NaN is not


def side(value: Any) -> int | None:
    """Width or height in pixels; `None` where it is not known, which some tools write as 0, -1 or text."""
    pixels = whole(value)
    return pixels if pixels is not None and pixels > 0 else None


def wh_of(width: Any, height: Any) -> tuple[int, int] | None:
    """The size that a file states for an image; `None` where either side is not known."""
    sides = side(width), side(height)
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


def captions(value: Any) -> Iterator[str | None]:
    """The captions that a field holds; `None` for each thing in it that is none: NaN, a number, an object.

    A list holds so many captions; an object with `raw` or `text` is that. A caption may be empty.
    """
    if isinstance(value, list):
        for one in value:
            yield from captions(one) if not isinstance(one, list) else (None,)
    elif isinstance(value, str):
        yield clean_text(value)
    elif isinstance(value, dict):
        told = next((value[name] for name in ("raw", "text", "caption") if isinstance(value.get(name), str)), None)
        yield None if told is None else clean_text(told)
    else:
        yield "" if value is None or value != value else None


def from_text(value: Any) -> Any:
    """A list or object that a table holds as text, as what it is; anything else as it stands."""
    if isinstance(value, str) and value.strip()[:1] in ("[", "{"):
        for parse in (json.loads, ast.literal_eval):
            try:
                return parse(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return value


def without_bytes_repr(text: str) -> str:
    """Text that went through `str()` of bytes, `b'…'`, as it was."""
    if re.fullmatch(r"b(['\"]).*\1", text, re.DOTALL):
        try:
            undone = ast.literal_eval(text)
            return undone.decode("ascii") if isinstance(undone, bytes) else text
        except (ValueError, SyntaxError):
            return text[2:-1]
    return text
