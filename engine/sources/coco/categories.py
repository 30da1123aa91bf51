"""Names of categories by what annotations call them: a number of any type, or the name itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import Ids, id_key


@dataclass(frozen=True, slots=True)
class Categories:
    """`names` by key; `stuff` are keys of what has no number of objects; `why` explains one that is not found."""

    names: Mapping[str, str]
    ids: Ids
    stuff: frozenset[str]
    why: str

    def name(self, record: Mapping[str, Any]) -> str:
        """The name of an annotation's category; empty where there is none."""
        told = record.get("category_id")
        if key := self.ids.find(told):
            return self.names[key]
        written = told if isinstance(told, str) else None if told is not None else record.get("category_name")
        if not isinstance(written, str):
            return ""
        return clean_text(written) if told is None or written in self.names.values() else ""

    def of(self, told: Any) -> str:
        """The name of the category of an id; empty where there is none."""
        return self.names.get(self.ids.find(told), "")

    def is_stuff(self, record: Mapping[str, Any]) -> bool:
        return self.ids.find(record.get("category_id")) in self.stuff


def read_categories(entries: Sequence[Any], annotations: Iterable[Mapping[str, Any]]) -> Categories:
    """Categories as objects, or as a list of names, whose first number is told from the ids that are used."""
    if entries and all(isinstance(entry, str) for entry in entries):
        return _of_names(entries, annotations)
    names: dict[str, str] = {}
    twice: set[str] = set()
    stuff: set[str] = set()
    for entry in entries:
        key = id_key(entry.get("id")) if isinstance(entry, dict) else ""
        name = clean_text(str(entry["name"])) if key and entry.get("name") is not None else ""
        if key and name:
            if names.setdefault(key, name) != name:
                twice.add(key)
            if entry.get("isthing") in (0, "0", False):
                stuff.add(key)
    for key in twice:
        del names[key]
    why = f"{len(twice)} ids are those of several categories" if twice else ""
    return Categories(names, Ids(names), frozenset(stuff), why)


def _of_names(entries: Sequence[str], annotations: Iterable[Mapping[str, Any]]) -> Categories:
    used = {int(key) for one in annotations if (key := id_key(one.get("category_id"))).isdigit()}
    first = 0 if 0 in used or not used else 1 if len(entries) in used else None
    names = {} if first is None else {str(n): clean_text(name) for n, name in enumerate(entries, start=first)}
    why = "categories are names alone, and nothing says whether the first is 0 or 1" if first is None else ""
    return Categories({k: n for k, n in names.items() if n}, Ids(names), frozenset(), why)
