"""The two files that Flickr30k Entities has of an image: sentences with their phrases, and boxes of those phrases.

A sentence is a line of `Sentences/ID.txt` whose phrases stand in brackets, `[/EN#283585/people Two young men] are …`:
the number is that of a chain of phrases that mean the same, 0 for what cannot be seen; coarse types follow. An
object of `Annotations/ID.xml` names the chains that it is of, and has a box, or says that there is none (`nobndbox`) or
that it is the whole scene (`scene`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fld_engine.engine.sources.xml import parse_xml, text_of

NOT_VISUAL = "0"
"""Chain of phrases that mean nothing that can be seen."""

_PHRASE = re.compile(r"\[/EN#(?P<chain>[^/\s\]]+)(?P<types>(?:/[^/\s\]]+)*)\s+(?P<words>[^\[\]]*?)\s*\]")

Corners = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Mention:
    """A phrase of a sentence: characters [start, end) of its text."""

    start: int
    end: int
    chain: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentence:
    """A caption without its markup."""

    text: str
    mentions: tuple[Mention, ...]


@dataclass(frozen=True, slots=True)
class Boxes:
    """What an image's xml says of chains; `image_wh` is the size that its boxes are of, `None` where none is stated.

    `boxes` are x1 y1 x2 y2 counted from 0, as the publisher's own reader has them: what is stored, less 1 each.
    """

    image_wh: tuple[int, int] | None
    boxes: Mapping[str, Sequence[Corners]]
    scenes: frozenset[str]
    without_box: frozenset[str]


def parse_sentence(line: str) -> Sentence:
    """A line of a sentence file. Raises `ValueError` where a bracket of a phrase has no end, or no word in it."""
    parts: list[str] = []
    mentions: list[Mention] = []
    length = at = 0
    for match in _PHRASE.finditer(line):
        before = _one_line(line[at : match.start()])
        words = _one_line(match["words"])
        if not words:
            raise ValueError(f"{match[0]!r} has no word in it")
        for part in (before, words):
            if part:
                length += len(part) + bool(parts)
                parts.append(part)
        types = tuple(name for name in match["types"].split("/") if name)
        mentions.append(Mention(length - len(words), length, match["chain"], types))
        at = match.end()
    rest = _one_line(line[at:])
    parts += [rest] if rest else []
    text = " ".join(parts)
    if "[/EN#" in text:
        raise ValueError(f"{text[text.index('[/EN#') :][:60]!r} is no phrase [/EN#chain/type words]")
    return Sentence(text, tuple(mentions))


def parse_boxes(data: bytes) -> Boxes:
    """An xml file. Raises `ValueError` where it cannot be read."""
    root = parse_xml(data)
    boxes: dict[str, list[Corners]] = {}
    scenes, without = set(), set()
    for found in root.findall("object"):
        chains = [name.text.strip() for name in found.findall("name") if name.text]
        box = found.find("bndbox")
        if box is not None:
            corners = _corners(box)
            for chain in chains:
                boxes.setdefault(chain, []).append(corners)
        elif _flag(found, "scene"):
            scenes.update(chains)
        elif _flag(found, "nobndbox"):
            without.update(chains)
    size = root.find("size")
    wh = None if size is None else (int(_number(size, "width")), int(_number(size, "height")))
    return Boxes(wh, boxes, frozenset(scenes), frozenset(without))


def _corners(box: Element) -> Corners:
    x1, y1, x2, y2 = (_number(box, name) - 1 for name in ("xmin", "ymin", "xmax", "ymax"))
    return x1, y1, x2, y2


def _number(parent: Element, name: str) -> float:
    try:
        return float(parent.findtext(name, ""))
    except ValueError:
        raise ValueError(f"{name} of {parent.tag} is {parent.findtext(name)!r}, and no number") from None


def _flag(parent: Element, name: str) -> bool:
    return text_of(parent, name) not in ("", "0")


def _one_line(text: str) -> str:
    return " ".join(text.split())
