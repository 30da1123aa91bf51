"""Names of things: which mean the same, and which are kinds of another, by one table of WordNet's nouns.

Vocabularies of people and of detectors differ in nearly every dataset: a motorbike is a motorcycle, and a poodle a dog.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

from fld_engine.schemas.names import name_key

_WORDS = re.compile(r"[^\W_]+")
_AFTER_HEAD = frozenset({"of", "in", "on", "at", "with", "without", "for", "from", "by", "and", "or", "to"})
"""What a noun phrase goes on with behind its head: a cup of tea is a cup."""
_PLURALS = (("men", "man"), ("ies", "y"), ("ves", "f"), ("ves", "fe"), ("es", ""), ("s", ""))


@lru_cache(maxsize=65536)
def same_thing(one: str, other: str) -> bool:
    """Whether two names mean the same thing, or one a kind of the other."""
    return _key(one) == _key(other) or is_kind_of(one, other) or is_kind_of(other, one)


@lru_cache(maxsize=65536)
def is_kind_of(name: str, other: str) -> bool:
    """Whether what has a name is what the other name means, or a kind of it, in one of their senses."""
    return not _senses(other).isdisjoint(_with_kinds(name))


def known_thing(name: str) -> str:
    """What a thing of this name is called in the singular (`dog` of `dogs`); empty where the whole name names none."""
    singulars = (name.removesuffix(plural) + singular for plural, singular in _PLURALS if name.endswith(plural))
    return next((form for form in (name, *singulars) if _key(form) in _table()[0]), "")


def _key(name: str) -> str:
    """A name without case, accents, spaces and signs."""
    return "".join(_WORDS.findall(name_key(name)))


def _with_kinds(name: str) -> frozenset[int]:
    """The senses of a name, and those it is a kind of."""
    parents = _table()[1]
    found, left = set(_senses(name)), list(_senses(name))
    while left:
        more = [parent for parent in parents[left.pop()] if parent not in found]
        found.update(more)
        left += more
    return frozenset(found)


@lru_cache(maxsize=65536)
def _senses(name: str) -> frozenset[int]:
    """Senses of a name or, where it has none of its own, of its head: a black dog is a dog. Empty where unknown."""
    words = _WORDS.findall(name_key(name))
    ends = [i for i, word in enumerate(words) if word in _AFTER_HEAD and i > 0]
    for key in _heads([words, words[: ends[0]] if ends else words]):
        if senses := _table()[0].get(key):
            return senses
    return frozenset()


def _heads(phrases: list[list[str]]) -> Iterator[str]:
    """Keys to look a name up by, from the whole to its last word, each in singular, too."""
    yield "".join(phrases[0])
    for first in range(len(phrases[1])):
        key = "".join(phrases[1][first:])
        yield key
        yield from (key.removesuffix(plural) + singular for plural, singular in _PLURALS if key.endswith(plural))


@cache
def _table() -> tuple[dict[str, frozenset[int]], list[tuple[int, ...]]]:
    """Key of a name → its senses; and for each sense, the senses that it is a kind of."""
    data = lzma.decompress((files("fld_engine.engine.data") / "vendor/things.xz").read_bytes()).decode()
    senses: dict[str, frozenset[int]] = {}
    parents: list[tuple[int, ...]] = []
    for number, line in enumerate(data.splitlines()):
        kinds, _, names = line.partition("|")
        parents.append(tuple(map(int, kinds.split())))
        for name in names.split():
            senses[name] = senses.get(name, frozenset()) | {number}
    return senses, parents
