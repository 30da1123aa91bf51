"""Sentences that state the facts of a scene, and how many of them make a brief, a detailed and a longer text.

Nothing is said that no fact holds: verbs follow from geometry and category, a scene with few facts gets short texts,
one without any gets none. Wording varies by a hash, so that the same scene in another picture reads differently.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

from fld_engine.annotators.common.coco_classes import PERSON
from fld_engine.annotators.common.places import place
from fld_engine.annotators.common.text_lengths import TARGET_WORDS
from fld_engine.annotators.composed.english import counted, definite, joined, sentence, verb
from fld_engine.annotators.composed.lexicon import ANIMATE, PORTABLE
from fld_engine.annotators.composed.scene import (
    EDGE_SHARE,
    LARGE_SHARE,
    MOST_SHARE,
    SMALL_SHARE,
    Scene,
    Thing,
    relation,
)
from fld_engine.schemas.annotations import Box, Granularity, Text

NUM_BRIEFS = 2
MAX_LISTED = 3
"""Things named in one sentence; more reads like an inventory (ours)."""
MAX_QUOTED = 2

_PLACES = {
    ("left", "top"): "at the top left",
    ("center", "top"): "at the top",
    ("right", "top"): "at the top right",
    ("left", "middle"): "on the left",
    ("center", "middle"): "in the center",
    ("right", "middle"): "on the right",
    ("left", "bottom"): "at the bottom left",
    ("center", "bottom"): "at the bottom",
    ("right", "bottom"): "at the bottom right",
}

SPREAD = "across the picture"


class Statement(NamedTuple):
    """A sentence and the scores of the facts it states."""

    text: str
    scores: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Wording:
    """Picks among ways to say the same, by the hash of `key` and of what is being said."""

    key: str

    def pick(self, what: str, *options: str) -> str:
        return options[self.rank(what) % len(options)]

    def rank(self, what: str) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.key}/{what}".encode()).digest()[:8])


def compose(scene: Scene, wording: Wording) -> tuple[Text, ...]:
    """Up to two brief texts, one detailed and one more detailed; a longer one only where it says more."""
    briefs = sorted(dict.fromkeys(_briefs(scene, wording)), key=lambda said: wording.rank(f"brief {said.text}"))
    briefs = briefs[:NUM_BRIEFS]
    sentences = list(_sentences(scene, wording))
    detailed = _up_to(TARGET_WORDS["detailed"], sentences)
    longer = _up_to(TARGET_WORDS["more_detailed"], sentences)
    texts = [_text("brief", [brief]) for brief in briefs]
    if len(detailed) > 1:
        texts.append(_text("detailed", detailed))
    if len(longer) > max(2, len(detailed)):
        texts.append(_text("more_detailed", longer))
    return tuple(texts)


def place_of(boxes: Sequence[Box]) -> str:
    """Where all boxes lie, such as "at the bottom left"; `SPREAD` where they are in different ones."""
    sides, levels = zip(*(place(box) for box in boxes), strict=True)
    if len(set(sides)) == len(set(levels)) == 1:
        return _PLACES[sides[0], levels[0]]
    if len(set(sides)) == 1 and sides[0] != "center":
        return _PLACES[sides[0], "middle"]
    if len(set(levels)) == 1 and levels[0] != "middle":
        return _PLACES["center", levels[0]]
    return SPREAD


def _up_to(num_words: int, sentences: Sequence[Statement]) -> list[Statement]:
    """The sentences, from the first on, that come nearest to a number of words."""
    lengths = [0]
    for said in sentences:
        lengths.append(lengths[-1] + len(said.text.split()))
    nearest = min(range(len(lengths)), key=lambda n: (abs(lengths[n] - num_words), n))
    return list(sentences[:nearest])


def _text(granularity: Granularity, sentences: Sequence[Statement]) -> Text:
    """A text whose score is the mean score of the facts it uses."""
    score = fmean(score for said in sentences for score in said.scores)
    return Text(granularity=granularity, text=" ".join(s.text for s in sentences), score=score, composed=True)


def _say(words: str, *scores: float) -> Statement:
    return Statement(sentence(words), scores)


# --------------------------------------------------------------------------------------------------------- briefs


def _briefs(scene: Scene, wording: Wording) -> Iterator[Statement]:
    """Every one-sentence text that the scene has facts for."""
    things, picture = scene.things, wording.pick("picture", "picture", "photograph", "photo")
    if not things:
        for read in scene.read[:MAX_QUOTED]:
            yield _say(f'The words "{read.text}" can be read in the {picture}', read.score)
        return
    listed = _listed(things[:MAX_LISTED])
    scores = [thing.score for thing in things[:MAX_LISTED]]
    yield _say(f"The {picture} shows {listed} {scene.setting}", *scores, *_setting_score(scene))
    be_seen = wording.pick("seen", "can be seen", "be seen", "be visible")
    is_plural = len(scores) > 1 or counted(things[0].noun, things[0].count).is_plural
    yield _say(
        f"{listed} {verb(be_seen, is_plural)} {scene.setting or f'in the {picture}'}", *scores, *_setting_score(scene)
    )
    main = things[0]
    if main.boxes:
        name = counted(main.noun, main.count)
        where = _in_picture(main.boxes, picture)
        yield _say(f"{name.text} {verb(_posture(main, wording), name.is_plural)} {where}", main.score)
        if main.share >= MOST_SHARE and main.count == 1:
            yield _say(f"{name.text} {verb('take up', name.is_plural)} most of the {picture}", main.score)
    for a, b, how in _related(things):
        name = counted(a.noun)
        yield _say(
            f"{name.text} {verb(_posture(a, wording), name.is_plural)} {how} {counted(b.noun).text}", a.score, b.score
        )


# --------------------------------------------------------------------------------------------------- longer texts


def _sentences(scene: Scene, wording: Wording) -> Iterator[Statement]:
    """Everything there is to say, the most telling first."""
    things = scene.things
    first, later = things[:MAX_LISTED], things[MAX_LISTED : 2 * MAX_LISTED]
    if first:
        opening = wording.pick("opening", "The picture shows", "This photograph shows", "In this picture, there")
        if opening.endswith("there"):  # "there is" is awkward before a list
            is_plural = counted(first[0].noun, first[0].count).is_plural
            opening = f"{opening} {verb('be', is_plural)}" if len(first) == 1 else "This picture shows"
        scores = [thing.score for thing in first]
        yield _say(f"{opening} {_listed(first)} {scene.setting}", *scores, *_setting_score(scene))
    yield from (_placed(thing, wording) for thing in first if thing.boxes)
    yield from _relations(first, wording)
    if later:
        yield _say(f"{_listed(later)} can also be seen", *(thing.score for thing in later))
    for read in scene.read[:MAX_QUOTED]:
        words = wording.pick(read.text, "The words", "The text")
        yield _say(f'{words} "{read.text}" can be read {_in_picture([read.box], "picture")}', read.score)
    yield from (_placed(thing, wording) for thing in later if thing.boxes)
    yield from (said for thing in first for said in _members(thing, wording))
    yield from (said for thing in first for said in _edges(thing))
    yield from _sizes(first)


def _placed(thing: Thing, wording: Wording) -> Statement:
    """Where a thing is, and how much of the picture it takes up where that is much or little."""
    name = definite(thing.noun, thing.count)
    where, posture = place_of(thing.boxes), verb(_posture(thing, wording), name.is_plural)
    extent = ""
    if thing.count == 1 and (part := _part(thing.share)):
        extent = f"and {verb('take up', name.is_plural)} {part} of the picture"
    if wording.rank(f"order {thing.noun}") % 2:
        return _say(f"{where}, {name.text} {posture} {extent}", thing.score)
    return _say(f"{name.text} {posture} {where} {extent}", thing.score)


def _in_picture(boxes: Sequence[Box], picture: str) -> str:
    where = place_of(boxes)
    return f"across the {picture}" if where == SPREAD else f"{where} of the {picture}"


def _part(share: float) -> str:
    if share >= MOST_SHARE:
        return "most"
    if share >= LARGE_SHARE:
        return "a large part"
    return "only a small part" if share < SMALL_SHARE else ""


def _relations(things: Sequence[Thing], wording: Wording) -> Iterator[Statement]:
    for a, b, how in _related(things):
        name = definite(a.noun)
        posture = verb(_posture(a, wording), name.is_plural)
        yield _say(f"{name.text} {posture} {how} {definite(b.noun).text}", a.score, b.score)


def _members(thing: Thing, wording: Wording) -> Iterator[Statement]:
    """Where the two or three instances of a thing are, when they are in different places."""
    if counted(thing.noun).text.startswith("some "):
        return
    places = list(dict.fromkeys(place_of([box]) for box in thing.boxes))
    if thing.count in (2, 3) and len(places) == thing.count:
        one = "one pair" if definite(thing.noun).text != f"the {thing.noun}" else f"one {thing.noun}"
        rest = f"the other {places[1]}" if thing.count == 2 else f"another {places[1]} and the last {places[2]}"
        be_seen = wording.pick(f"member {thing.noun}", "is seen", "appears", "can be seen")
        yield _say(f"{one} {be_seen} {places[0]}, {rest}", thing.score)


def _edges(thing: Thing) -> Iterator[Statement]:
    """Which edges of the picture a single thing reaches."""
    if thing.count != 1 or not thing.boxes:
        return
    x1, y1, x2, y2 = thing.boxes[0]
    reached = [("left", x1), ("right", 1 - x2), ("top", y1), ("bottom", 1 - y2)]
    names = [name for name, distance in reached if distance < EDGE_SHARE]
    if 0 < len(names) < 4:
        edges = "edges" if len(names) > 1 else "edge"
        name = definite(thing.noun)
        yield _say(
            f"{name.text} {verb('reach', name.is_plural)} the {joined(names)} {edges} of the picture", thing.score
        )


def _sizes(things: Sequence[Thing]) -> Iterator[Statement]:
    """Which of two single things takes up clearly more of the picture: twice as much (ours)."""
    for a, b in combinations((thing for thing in things if thing.count == 1 and thing.boxes), 2):
        larger, smaller = (a, b) if a.share >= b.share else (b, a)
        if larger.share >= 2 * smaller.share:
            name = definite(larger.noun)
            more = f"{name.text} {verb('take up', name.is_plural)} more of the picture than"
            yield _say(f"{more} {definite(smaller.noun).text}", larger.score, smaller.score)


# ---------------------------------------------------------------------------------------------------------- parts


def _related(things: Sequence[Thing]) -> Iterator[tuple[Thing, Thing, str]]:
    """Pairs of single things with how the first lies to the second; people and animals come first where both can."""
    for a, b in combinations([thing for thing in things if thing.count == 1], 2):
        if b.category in ANIMATE and a.category not in ANIMATE:
            a, b = b, a
        if how := relation(a, b):
            yield (b, a, "above") if how == "below" else (a, b, how)
        elif how := relation(b, a):
            yield b, a, how


def _posture(thing: Thing, wording: Wording) -> str:
    """A verb that holds by category and shape alone."""
    if thing.category == PERSON and thing.count == 1 and thing.is_upright:
        return "stand"
    if thing.category in PORTABLE:
        return wording.pick(f"posture {thing.noun}", "be placed", "be seen", "lie")
    return wording.pick(f"posture {thing.noun}", "be seen", "appear", "can be seen")


def _listed(things: Sequence[Thing]) -> str:
    return joined([counted(thing.noun, thing.count).text for thing in things])


def _setting_score(scene: Scene) -> tuple[float, ...]:
    return (scene.setting_score,) if scene.setting else ()
