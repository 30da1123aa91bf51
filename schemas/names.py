"""When two names of a class are one: the only rule by which labels are compared, whoever wrote them."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=65536)
def name_key(name: str) -> str:
    """What all spellings of a name have in common: names are the same where their keys are equal.

    Neither case nor the form of a letter counts (Unicode's compatibility caseless match: NFKC, case folded), nor the
    accent of a Latin letter, which the target language cannot say. White space, underscores and hyphens are one blank
    between words, whatever their number, and none at the ends: `Traffic_Light` is `traffic light`. Never shown: a label
    keeps the spelling that it has.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    letters: list[str] = []
    latin = False
    for letter in unicodedata.normalize("NFD", folded):
        kind = unicodedata.category(letter)
        if kind == "Mn" and latin:
            continue
        latin = "a" <= letter <= "z"
        if kind == "Cf":  # marks that nobody sees, such as a soft hyphen
            continue
        letters.append(" " if kind == "Pd" or letter == "_" else letter)
    return unicodedata.normalize("NFC", " ".join("".join(letters).split())) or folded.strip()


def same_name(one: str, other: str) -> bool:
    """Whether two names are one, however they are written."""
    return one == other or name_key(one) == name_key(other)
