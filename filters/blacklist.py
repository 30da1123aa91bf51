"""Phrases that name nothing that can be pointed at."""

from __future__ import annotations

import re
from collections.abc import Collection

from schemas.tasks import BANNED_PHRASES

ABSTRACT = frozenset(
    {
        "atmosphere", "background", "beauty", "bottom", "center", "centre", "color", "colour", "contrast", "day",
        "daytime", "detail", "details", "direction", "distance", "edge", "environment", "focus", "foreground", "front",
        "kind", "left", "light", "lighting", "middle", "moment", "mood", "night", "overall", "part", "photo",
        "photograph", "picture", "place", "position", "right", "row", "scene", "setting", "shade", "shadow", "side",
        "size", "sort", "space", "style", "the left side", "the right side", "time", "top", "type", "variety", "view",
        "way",
    }
)  # fmt: skip
"""Abstract concepts, which the paper bans and does not list: this list is ours."""

_DETERMINER = re.compile(r"^(the|a|an|this|that|these|those|its|their|his|her|some)\s+", re.IGNORECASE)
_BANNED = frozenset(phrase.lower() for phrase in BANNED_PHRASES)


def is_banned(phrase: str, more: Collection[str] = (), *, abstract: bool = True) -> bool:
    """Whether a phrase is banned, with or without its determiner, whatever its case and spacing."""
    plain = " ".join(phrase.lower().split())
    bare = _DETERMINER.sub("", plain)
    banned = _BANNED.union(more, ABSTRACT if abstract else ())
    return plain in banned or bare in banned
