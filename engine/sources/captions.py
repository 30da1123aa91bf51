"""Captions as people write them: in files of text, and under one of many names in a record."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Mapping, Sequence

from fld_engine.engine.sources.arrow_text import TEXT_FIELDS

CAPTION_NAMES = ("caption", "captions", "text", "texts", "txt", "sentences")
"""Names under which captions are, whatever their letters' case; `caption_0` and its like beside them."""
OTHER_NAMES = (
    "re_caption", "recaption", "blip_caption", "original_caption", "org_caption", "prompt", "description", "alt_text",
)  # fmt: skip
"""Names that recaptioned sets use, looked at where nothing has one of the first names."""
TEXT_EXTENSIONS = ("txt", "text", "caption", "captions", "transcript")
"""Extensions of files whose whole text is a caption: of trainers' folders, WebDataset's and its writers'."""

_NUMBERED = re.compile(r"(caption|text|sentence)s?[_-]?\d{1,2}", re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(data: bytes) -> str:
    """The text of a file: UTF-8, or what its byte order mark says, with plain line ends. Raises `ValueError`.

    Without a mark, nothing tells one 8-bit encoding from another: such a file is no text that could be known.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    return data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def caption_names(names: Iterable[str], *, others: bool = True) -> list[str]:
    """Which of some names are those of captions, in the order of our lists; `others` only where no first one is."""
    there = list(names)
    found = _listed(there, CAPTION_NAMES) + sorted(filter(_NUMBERED.fullmatch, there), key=_number)
    return found or (_listed(there, OTHER_NAMES) if others else [])


def values_at(record: object, path: str) -> list[object]:
    """Everything at a path such as `sentences.raw`: through objects by name, through lists by each of their items.

    A name that has a dot itself is found, too.
    """
    if isinstance(record, list):
        return [value for item in record for value in values_at(item, path)]
    if not isinstance(record, Mapping):
        return []
    if path in record:
        return [record[path]]
    first, _, rest = path.partition(".")
    return values_at(record[first], rest) if rest and first in record else []


def in_value(value: object) -> list[object]:
    """The captions of a value, in order: a text, lists of texts, objects with one in `raw`, `text` or `caption`.

    What is none of these comes out as it is, for the caller to count; nothing for what is empty.
    """
    if isinstance(value, list):
        return [text for item in value for text in in_value(item)]
    if isinstance(value, Mapping):
        name = next((name for name in TEXT_FIELDS if name in value), None)
        return [dict(value)] if name is None else in_value(value[name])
    return [value] if value is not None else []


def _listed(names: Sequence[str], wanted: Sequence[str]) -> list[str]:
    return [name for one in wanted for name in names if name.lower() == one]


def _number(name: str) -> tuple[str, int]:
    digits = re.search(r"\d+$", name)
    return re.sub(r"\d+$", "", name), int(digits[0]) if digits else 0
