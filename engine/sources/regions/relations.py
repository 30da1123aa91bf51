"""Relationships of two things as brief texts that are grounded on both: `Man holds Guitar`.

Florence-2 has no task for relationships. A text with two phrases, each on its box, says all that one says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from fld_engine.engine.sources.item import Rejected
from fld_engine.engine.sources.regions.place import place_of
from fld_engine.engine.sources.texts import clean_text
from fld_engine.schemas.annotations import Phrase, PhraseRegion, Source, Text


class Thing(NamedTuple):
    """One side of a relationship; without a box, it is an attribute of the other."""

    name: str
    xywh: Sequence[Any] | None


def relation_text(
    subject: Thing, predicate: str, other: Thing, uri: str, image_wh: tuple[int, int], source: Source
) -> Iterator[Text | Rejected]:
    """The sentence of a relationship, or why there is none. Underscores of a predicate become spaces."""
    words = [clean_text(subject.name), " ".join(predicate.replace("_", " ").split()), clean_text(other.name)]
    if not all(words):
        detail = f"expected a subject, a predicate and an object, got {words}"
        yield Rejected(uri=uri, reason="bad_text", detail=detail, what="annotation")
        return
    sentence = " ".join(words)
    phrases = []
    for thing, word, start in ((subject, words[0], 0), (other, words[2], len(sentence) - len(words[2]))):
        if thing.xywh is None:
            continue
        place = yield from place_of({"bbox": list(thing.xywh)}, uri, image_wh, outline=None, what=word)
        if place is None:
            return
        at = PhraseRegion(box_xyxy=place.box_xyxy, score=1.0, source=source)
        end = start + len(word)
        phrases.append(Phrase(phrase=word, start=start, end=end, score=1.0, regions=(at,), source=source))
    yield Text(granularity="brief", text=sentence, score=1.0, phrases=tuple(phrases), source=source)
