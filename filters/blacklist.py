"""Phrases that name nothing in the picture that could be pointed at."""

from __future__ import annotations

import re
from collections.abc import Iterable

from fld_engine.schemas.tasks import BANNED_PHRASES

PUBLISHED = frozenset(phrase.lower() for phrase in BANNED_PHRASES)
"""The list published with the Florence-2 models, whole; `schemas.tasks` names its source."""

ABSTRACT = frozenset(
    {
        # time
        *("time", "moment", "day", "daytime", "night", "nighttime", "season", "beginning", "end"),
        # place and direction
        *("place", "area", "location", "position", "direction", "distance", "space", "way", "side", "part", "edge"),
        *("top", "bottom", "left", "right", "front", "back", "middle", "center", "centre", "corner", "left side"),
        *("right side", "top left", "top right", "bottom left", "bottom right"),
        # the picture as a picture
        *("view", "scene", "setting", "background", "foreground", "photo", "photograph", "picture", "photography"),
        *("composition", "focus", "perspective", "angle", "close-up", "style", "detail", "details"),
        # look and feeling
        *("color", "colour", "colors", "colours", "contrast", "lighting", "atmosphere", "mood", "feeling", "sense"),
        *("beauty", "environment", "appearance", "shape", "size", "condition", "overall"),
        # kind, number and order
        *("kind", "type", "sort", "variety", "number", "pair", "bit", "lot", "rest", "addition", "others"),
        # what happens
        *("action", "activity", "event", "situation", "motion", "movement", "fun", "life", "idea", "concept", "theme"),
    }
)
"""Abstract concepts: the paper bans them ("time, place, view and the like") and prints no list; this one is ours."""

_DETERMINER = re.compile(r"^(?:the|an?|this|that|these|those|its|their|his|her|our|my|your|some|any|each|every)\s+")


def blacklist(extra: Iterable[str] = (), *, abstract: bool = True) -> frozenset[str]:
    """The published list, ours where `abstract`, and `extra`; all in the form that `normal` gives."""
    return PUBLISHED | (ABSTRACT if abstract else frozenset()) | {normal(phrase) for phrase in extra}


def normal(phrase: str) -> str:
    """A phrase in lower case with single spaces."""
    return " ".join(phrase.lower().split())


def is_listed(phrase: str, banned: frozenset[str]) -> bool:
    """Whether a phrase is banned as it stands or without its determiner."""
    plain = normal(phrase)
    return plain in banned or _DETERMINER.sub("", plain) in banned
