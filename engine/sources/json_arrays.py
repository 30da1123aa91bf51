"""One great JSON array, element by element, without holding it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

_BLOCK = 2**22
_DECODER = json.JSONDecoder()
_BETWEEN = " \t\r\n,"


class Element(NamedTuple):
    """An element of the array: where its bytes are in the file, and its value with every character from 128 on spoiled.

    Read the bytes again for what it says (`json.loads`); the value here tells ids and counts.
    """

    offset: int
    length: int
    value: Any


def elements(stream: BinaryIO) -> Iterator[Element]:
    """Elements of a JSON array of objects, in order. Raises `ValueError` where the file is none.

    Bytes are looked at as Latin-1, in which JSON has the same structure as in UTF-8 and a character is a byte.
    """
    buffer, start = stream.read(max(_BLOCK, 16)).decode("latin-1"), 0
    at = _skipped(buffer, 3 if buffer.startswith("\xef\xbb\xbf") else 0, " \t\r\n")
    if not buffer.startswith("[", at):
        raise ValueError(f"expected a JSON array, found {buffer[at : at + 40]!r}")
    at += 1
    while True:
        at = _skipped(buffer, at, _BETWEEN)
        if buffer.startswith("]", at):
            return
        try:
            value, end = _DECODER.raw_decode(buffer, at)
        except ValueError as error:
            more = stream.read(max(_BLOCK, len(buffer) - at)).decode("latin-1")
            if not more:
                raise ValueError(f"the array breaks off or is no JSON after byte {start + at}: {error}") from error
            start, buffer, at = start + at, buffer[at:] + more, 0
            continue
        yield Element(start + at, end - at, value)
        at = end


def _skipped(text: str, at: int, characters: str) -> int:
    while at < len(text) and text[at] in characters:
        at += 1
    return at
