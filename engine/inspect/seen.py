"""What is found where a source is looked into, and what is told of it."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from fld_engine.engine.data.source_account import Counting, SourceAccount
from fld_engine.engine.stages.ingest.account import count_read
from fld_engine.schemas.annotations import Annotations, Frozen, Region, Source, Text
from fld_engine.schemas.kinds import OWN_TEXTS

NUM_EXAMPLES = 10
MAX_SHOWN = 8
"""Annotations of a form that an example shows."""


class ImageExample(Frozen):
    """An image as it will be read. `said` maps form, such as `objects`, to the first few things said in it.

    Of a list of addresses, `uri` is the address, and nothing is known of the image yet.
    """

    uri: str
    width: int = 0
    height: int = 0
    format: str = ""
    licence: str
    said: Mapping[str, Sequence[str]]


class SourceLook(Frozen):
    """What a source holds, as far as it was looked into.

    `images` is how many there are: counted where `is_exact`, else estimated from the bytes of those that were read,
    `looked_at`; `is_whole` says that these were all. `said` maps annotator → form → annotations of them, `images_with`
    form → images that have any. `account` has every reason by which something is refused or passed over, in what was
    looked into and in the listing of the whole; `unread` says what could not be had.

    Of a list of addresses, none of which is asked, images are its rows, and those that are read will be asked for.
    `columns` maps what is read, such as `captions`, to the columns that it is read from, `hosts` those with most of
    these addresses to their number, of `num_hosts`; `repeated` are rows with the address of an earlier one. It
    `is_fetched` by a run where the source says so.
    """

    url: str
    kind: str
    files: int
    num_bytes: int
    images: int
    is_exact: bool
    looked_at: int
    is_whole: bool
    said: Mapping[str, Mapping[str, int]]
    images_with: Mapping[str, int]
    licences: Mapping[str, int]
    examples: Sequence[ImageExample]
    account: SourceAccount
    unread: Sequence[str] = ()
    columns: Mapping[str, Sequence[str]] = Field(default_factory=dict)
    hosts: Mapping[str, int] = Field(default_factory=dict)
    num_hosts: int = 0
    repeated: int = 0
    is_fetched: bool = False


@dataclass
class Seen:
    """What is found while a source is looked into."""

    counting: Counting = field(default_factory=Counting)
    said: dict[str, Counter[str]] = field(default_factory=dict)
    images_with: Counter[str] = field(default_factory=Counter)
    licences: Counter[str] = field(default_factory=Counter)
    examples: list[list[ImageExample]] = field(default_factory=list)
    images: int = 0
    num_bytes: int = 0
    in_files: bool = True  # each is a file of the listing
    unread: list[str] = field(default_factory=list)

    def add(self, annotations: Annotations, licence: str) -> dict[str, list[str]]:
        """Count an image that can be used; returns what is said of it, by form."""
        count_read(self.counting, annotations)
        self.licences[licence] += 1
        said: dict[str, list[str]] = {}
        for annotator, form, words in _forms(annotations):
            self.said.setdefault(annotator, Counter())[form] += 1
            said.setdefault(form, []).append(words)
        self.images_with.update(said.keys())
        return {form: words[:MAX_SHOWN] for form, words in said.items()}

    def look(self, **found: Any) -> SourceLook:
        """All of it, with what is known of the source beside it."""
        return SourceLook(
            looked_at=self.images,
            said={annotator: dict(forms) for annotator, forms in sorted(self.said.items())},
            images_with=dict(self.images_with),
            licences=dict(self.licences),
            examples=_spread(self.examples),
            unread=self.unread,
            **found,
        )


def _forms(annotations: Annotations) -> Iterator[tuple[str, str, str]]:
    """(annotator, form, what is said) of every annotation."""
    for label in annotations.labels:
        yield _by(label.source), "labels", label.label
    for absence in annotations.absences:
        yield _by(absence.source), "absences", absence.label
    for text in annotations.texts:
        yield _by(text.source), f"{text.granularity.replace('_', ' ')} texts", text.text
        yield from _grounded(text)
    for region in annotations.regions:
        yield from _region(region)


def _region(region: Region) -> Iterator[tuple[str, str, str]]:
    by = _by(region.source)
    own = [text.text for text in region.texts if text.kind == OWN_TEXTS[region.kind]]
    yield by, "objects" if region.kind == "object" else "scene text", " / ".join(own)
    for text in region.texts:
        if text.kind != OWN_TEXTS[region.kind]:
            yield by, f"region texts ({text.kind})", text.text
    for _ in region.masks:
        yield by, "masks", " / ".join(own)


def _grounded(text: Text) -> Iterator[tuple[str, str, str]]:
    for phrase in text.phrases:
        yield _by(phrase.source or text.source), "phrases", f"{phrase.phrase} ({len(phrase.regions)} boxes)"


def _by(source: Source | None) -> str:
    return source.annotator if source is not None else ""


def _spread(examples: Sequence[Sequence[ImageExample]]) -> list[ImageExample]:
    """Examples of every part, the first of each first."""
    turns = itertools.zip_longest(*examples)
    return [one for turn in turns for one in turn if one is not None][:NUM_EXAMPLES]
