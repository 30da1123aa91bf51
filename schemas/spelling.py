"""Words of other spellings in ASCII, which is all that Florence-2's parsers of objects and phrases keep.

Letters lose their marks, as in "jalapeno"; those of other scripts have no such spelling, and a word that would lose a
letter is no word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_SPELT: dict[str, str] = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D",
    "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ı": "i", "ħ": "h", "Ħ": "H", "ŋ": "ng", "Ŋ": "Ng",
    "ŧ": "t", "Ŧ": "T", "ƒ": "f", "ə": "e", "Ə": "E", "ʻ": "'", "ʼ": "'", "ʿ": "'", "ʾ": "'",
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "‹": "'", "›": "'", "«": '"',
    "»": '"', "′": "'", "″": '"', "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "―": "-", "−": "-", "×": "x",
    "⁄": "/", "·": "-", "•": "-", "¡": "", "¿": "",
}  # fmt: skip
"""Letters and marks that Unicode does not decompose."""
_SILENT = ("Mn", "Me", "Cf", "Cc", "So", "Sk")
"""Categories of characters that are no part of a word's spelling: accents, joiners, pictures."""
_SPACES = re.compile(" {2,}")


def in_ascii(text: str) -> str:
    """A text in ASCII letters; empty where one of its letters, digits or signs has no such spelling."""
    if text.isascii():
        return text
    spelt = [_spelt(character) for character in text]
    return "" if None in spelt else _SPACES.sub(" ", "".join(map(str, spelt))).strip()


def find_spelt(text: str, spelling: str, start: int = 0) -> tuple[int, int] | None:
    """Characters [start, end) of the first place in a text that is spelt so in ASCII, from `start` on; None without."""
    letters: list[str] = []
    places: list[int] = []  # of the character that each letter spells
    for place, character in enumerate(text[start:], start):
        for letter in _spelt(character) or ("" if _spelt(character) == "" else "\0"):
            letters.append(letter)
            places.append(place)
    found = "".join(letters).find(spelling)
    if found < 0 or not spelling:
        return None
    return places[found], places[found + len(spelling) - 1] + 1


@lru_cache(maxsize=4096)
def _spelt(character: str) -> str | None:
    """A character in ASCII, empty where it is silent; None where it has no such spelling."""
    if character.isascii():
        return character
    known = _SPELT.get(character)
    if known is not None:
        return known
    parts = unicodedata.normalize("NFKD", character)
    if parts != character:
        spelt = [_spelt(part) for part in parts]
        return None if None in spelt else "".join(map(str, spelt))
    return "" if unicodedata.category(character) in _SILENT else None
