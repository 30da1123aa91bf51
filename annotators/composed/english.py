"""American English for composed texts: articles, plurals, counts, lists and quotations, by rule.

Nouns are what detectors and classifiers name: singular common nouns of one or several words, their last word the head
("wine glass"), or the word before "of" ("ear of grain").
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_IRREGULAR: dict[str, str] = dict(
    pair.split("/", 1)
    for pair in _words(
        """person/people man/men woman/women child/children policeman/policemen snowman/snowmen mouse/mice goose/geese
        tooth/teeth foot/feet ox/oxen die/dice cactus/cacti knife/knives wife/wives life/lives leaf/leaves loaf/loaves
        shelf/shelves scarf/scarves wolf/wolves calf/calves half/halves hoof/hooves potato/potatoes tomato/tomatoes
        volcano/volcanoes mango/mangoes torpedo/torpedoes quiz/quizzes stomach/stomachs monarch/monarchs"""
    )
)
_WHOLE = {"mortar and pestle": "mortars and pestles", "hen of the woods mushroom": "hen of the woods mushrooms"}
_UNCHANGED = _words(
    """sheep deer fish clownfish lionfish pufferfish goldfish starfish salmon trout bison moose aircraft spacecraft"""
)
_PAIRS = _words(
    """scissors binoculars sunglasses glasses goggles jeans pajamas trunks pants trousers shorts tights clogs skis"""
)
"""Plural words that are counted in pairs."""
_ALWAYS_PLURAL = _words("bars potatoes stairs ruins")
_UNCOUNTABLE = _words(
    """broccoli guacamole consomme dough hay corn wool fabric wine lotion sunscreen eggnog carbonara mail paper syrup
    rapeseed grass water food furniture jewelry bread rice cheese luggage equipment spaghetti cream"""
)
_YOO = re.compile(r"uni(?!n|m|den)|eu|ewe|uk|us[eu]|ut[aeio]|ura|one\b|once|ubi|ufo")
"""Beginnings that are spelt with a vowel and spoken with "yoo" or "w"."""
_SILENT_H = re.compile(r"(hour|honest|honor|honour|heir|herb)")
_SPELT_OUT = re.compile(r"[A-Z]([^a-z]|$)")
"""Words that are said letter by letter, such as CRT or T-shirt."""
_COUNT_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_EXACT_COUNTS = 4
"""Most people tell up to four objects at a glance, and detectors miscount beyond (ours)."""


class Counted(NamedTuple):
    """A noun phrase, and whether its verb is plural."""

    text: str
    is_plural: bool


def article(words: str) -> str:
    """`a` or `an`, by the sound that `words` begin with."""
    lower = words.lower()
    if _SPELT_OUT.match(words):
        return "an" if words[0] in "AEFHILMNORSX" else "a"
    if words[:1].isdigit():
        return "an" if re.match(r"8|1[18]\b", words) else "a"
    vowel = lower[:1] in "aeiou" and not _YOO.match(lower)
    return "an" if vowel or _SILENT_H.match(lower) else "a"


def plural(noun: str) -> str:
    """The plural of a noun of one or several words; nouns that are plural already stay as they are."""
    if noun in _WHOLE:
        return _WHOLE[noun]
    first, separator, rest = noun.partition(" of ")
    if separator:
        return plural(first) + separator + rest
    before, space, head = noun.rpartition(" ")
    return before + space + _plural_word(head)


def counted(noun: str, count: int = 1) -> Counted:
    """`count` of them, indefinite: "an hourglass", "two people", "several wine glasses", "a pair of scissors"."""
    if count < 1:
        raise ValueError(f"count of {noun!r} must be at least 1, got {count}")
    head = _head(noun)
    if head in _UNCOUNTABLE:
        return Counted(f"some {noun}", is_plural=False)
    if head in _ALWAYS_PLURAL:
        return Counted(f"some {noun}", is_plural=True)
    if head in _PAIRS:
        if count == 1:
            return Counted(f"a pair of {noun}", is_plural=False)
        return Counted(f"{number(count)} pairs of {noun}", is_plural=True)
    if count == 1:
        return Counted(f"{article(noun)} {noun}", is_plural=False)
    return Counted(f"{number(count)} {plural(noun)}", is_plural=True)


def definite(noun: str, count: int = 1) -> Counted:
    """The ones already spoken of: "the dog", "the two people", "the cups" where they are several."""
    indefinite = counted(noun, count)
    first, _, rest = indefinite.text.partition(" ")
    keeps_count = first in _COUNT_WORDS
    return Counted(f"the {indefinite.text if keeps_count else rest}", indefinite.is_plural)


def number(count: int) -> str:
    """`two`, `three`, `four`, then `several`, and `many` above ten."""
    if count <= _EXACT_COUNTS:
        return _COUNT_WORDS[count]
    return "several" if count <= 10 else "many"


def be(is_plural: bool) -> str:
    return "are" if is_plural else "is"


def verb(stem: str, is_plural: bool) -> str:
    """Third person present of a regular verb or verb phrase: `takes up`, `take up`, `is seen`, `are seen`."""
    first, space, rest = stem.partition(" ")
    if first == "be":
        first = be(is_plural)
    elif first != "can" and not is_plural:
        first += "es" if first.endswith(("s", "sh", "ch", "x", "o")) else "s"
    return first + space + rest


def joined(items: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} and {items[-1]}"


def sentence(words: str) -> str:
    """With a capital and a full stop; a quotation at the end keeps the stop outside."""
    words = " ".join(words.split())
    return words[:1].upper() + words[1:] + ("" if words.endswith((".", "!", "?")) else ".")


def common_name(label: str) -> str:
    """One name of a class label: the first synonym, without remarks: `tabby` of "tabby, tabby cat"; may be empty."""
    name = re.sub(r"\(.*?\)", " ", label).replace("_", " ").split(",")[0]
    name = " ".join(name.split())
    return "" if re.fullmatch(r"n\d{8}|\d*", name) or "<" in name else name


def quotable(text: str, max_chars: int = 40) -> str:
    """Read text as it may stand between double quotes: one line, no quotes, cut at a word; empty when unfit.

    Text with angle brackets, or without two letters or digits in a row, is unfit: the first could be taken for
    markup, the second is mostly noise.
    """
    line = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(re.sub(r"[\"“”„«»]", "", line).split())
    if len(line) > max_chars:
        line = line[: max_chars + 1].rpartition(" ")[0] or line[:max_chars]
    return "" if re.search(r"[<>]", line) or not re.search(r"[^\W_]{2}", line) else line.rstrip(" ,;:-")


def _head(noun: str) -> str:
    return noun.partition(" of ")[0].rpartition(" ")[2].lower()


def _plural_word(word: str) -> str:
    lower = word.lower()
    if lower in _UNCHANGED or lower in _PAIRS or lower in _ALWAYS_PLURAL:
        return word
    if lower in _IRREGULAR:
        return word[0] + _IRREGULAR[lower][1:]
    if re.search(r"(s|x|z|ch|sh)$", lower):
        return word + "es"
    if re.search(r"[^aeiou]y$", lower):
        return word[:-1] + "ies"
    return word + "s"
