"""Flickr30k Entities by image."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fld_engine.engine.data.hashing import fingerprint, sha256_hex
from fld_engine.engine.data.transport import Range
from fld_engine.engine.sources.coco.frames import Exif
from fld_engine.engine.sources.coco.places import place_of
from fld_engine.engine.sources.files import locate, read_ranges
from fld_engine.engine.sources.flickr30k.parsing import NOT_VISUAL, Boxes, Mention, Sentence, parse_boxes, parse_sentence
from fld_engine.engine.sources.item import MAX_TEXT_CHARS, PassedOver, Rejected, clean_span, clean_text, too_long
from fld_engine.engine.sources.listing import Listing
from fld_engine.schemas.annotations import Phrase, PhraseRegion, Source, Text
from fld_engine.schemas.errors import SourceError, TransportError
from fld_engine.schemas.origins import Origin

UNRELATED = "UNRELATED_CAPTIONS"
"""The publisher's list of captions that are not about their image: its id, and the number of the caption from 1."""
Said = Text | Rejected | PassedOver
