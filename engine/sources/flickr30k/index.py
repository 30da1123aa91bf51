"""Flickr30k Entities by image."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from fld_engine.engine.data.hashing import sha256_hex
from fld_engine.engine.sources.authors import source_of
from fld_engine.engine.sources.files import locate, read_ranges
from fld_engine.engine.sources.flickr30k.parsing import NOT_VISUAL, Boxes, Sentence, parse_boxes, parse_sentence
from fld_engine.engine.sources.item import PassedOver, Rejected, too_long
from fld_engine.engine.sources.labelled import Problem, Said, joint_revision
from fld_engine.engine.sources.listing import Listing
from fld_engine.engine.sources.regions.frames import Exif, Frame, framed
from fld_engine.engine.sources.regions.place import place_of, xywh_of
from fld_engine.engine.sources.texts import MAX_TEXT_CHARS, clean_span, clean_text
from fld_engine.schemas.annotations import Phrase, PhraseRegion, Source, Text
from fld_engine.schemas.errors import SourceError, TransportError

SENTENCES, BOXES = "Sentences", "Annotations"
"""Folders of both kinds of files."""
UNRELATED = "UNRELATED_CAPTIONS"
"""The publisher's list of captions that are not about their image: its id, and the number of the caption from 1."""


@dataclass(frozen=True, slots=True)
class Files:
    """Bytes of both files of an image by its id; `unrelated` are (id, number of the caption from 1)."""

    base: str
    revision: str
    sentences: Mapping[str, bytes]
    boxes: Mapping[str, bytes]
    unrelated: frozenset[tuple[str, int]]
    used: frozenset[str]


def is_label_file(path: str) -> bool:
    """Whether a path is that of a file of this layout, by its folder and its name."""
    folder, name = posixpath.split(path)
    ending = {SENTENCES: ".txt", BOXES: ".xml"}.get(posixpath.basename(folder))
    return name == UNRELATED or (ending is not None and name.endswith(ending))


def read_files(listing: Listing) -> Files:
    """The label files of a listing. Raises `SourceError` where it has none, or one of them cannot be read."""
    chosen = [(path, size) for path, size in listing.files if is_label_file(path)]
    sentences: dict[str, bytes] = {}
    boxes: dict[str, bytes] = {}
    unrelated: set[tuple[str, int]] = set()
    digests = []
    fs, base = locate(listing.base)
    urls = [listing.url(path) for path, _ in chosen]
    ranges = [(f"{base}/{path}", None, None) for path, _ in chosen]
    for (path, _), data in zip(chosen, read_ranges(fs, ranges, [size for _, size in chosen], urls), strict=True):
        if isinstance(data, TransportError):
            raise SourceError(f"{listing.base}/{path} was listed and cannot be read: {data}") from data
        digests.append(sha256_hex(data))
        stem = posixpath.splitext(posixpath.basename(path))[0]
        if posixpath.basename(path) == UNRELATED:
            lines = (line.split() for line in data.decode("utf-8", "replace").splitlines())
            unrelated |= {(pair[0], int(pair[1])) for pair in lines if len(pair) == 2 and pair[1].isdecimal()}
        else:
            (sentences if path.endswith(".txt") else boxes)[stem] = data
    if not sentences:
        raise SourceError(
            f"source {listing.base} has no {SENTENCES}/*.txt; give the folder that {SENTENCES} and {BOXES} of "
            "Flickr30k Entities were unpacked to"
        )
    used = frozenset(path for path, _ in chosen)
    return Files(listing.base, joint_revision(digests), sentences, boxes, frozenset(unrelated), used)


@dataclass(frozen=True)
class Flickr30k:
    """Files by image, and how they are read. Images are called as their ids."""

    files: Files
    exif: Exif

    @property
    def revision(self) -> str:
        return self.files.revision

    @cached_property
    def names(self) -> Collection[str]:
        return sorted(f"{name}.jpg" for name in self.files.sentences.keys() | self.files.boxes.keys())

    @property
    def problems(self) -> Sequence[Problem]:
        return ()

    def count(self, name: str) -> int:
        lines = self.files.sentences.get(_id(name), b"").splitlines()
        return sum(bool(line.strip()) for line in lines) + self.files.boxes.get(_id(name), b"").count(b"<bndbox>")

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """Captions in order, with the phrases that have boxes; then what phrases and boxes are made nothing of."""
        image = _id(name)
        source = source_of(self.revision)
        boxes, frame = yield from self._boxes(image, upright_wh, orientation)
        places: dict[str, list[PhraseRegion]] = {}
        for chain, found in boxes.boxes.items() if frame is not None else ():
            for number, corners in enumerate(found):
                record, uri = {"bbox": xywh_of(corners)}, f"#annotation/{image}/{chain}/{number}"
                place = yield from place_of(record, uri, frame.wh, outline=None, what=chain)  # type: ignore[union-attr]
                if place is not None:
                    region = PhraseRegion(box_xyxy=place.box_xyxy, score=1.0, source=source)
                    places.setdefault(chain, []).append(region)
        counted: Counter[tuple[str, str]] = Counter()
        mentioned: set[str] = set()
        for number, sentence in self._sentences(image):
            uri = f"#caption/{image}/{number}"
            if isinstance(sentence, Rejected):
                yield sentence
                continue
            mentioned |= {one.chain for one in sentence.mentions}
            if (image, number) in self.files.unrelated:
                yield PassedOver(uri=uri, reason="unrelated", detail=sentence.text, what="annotation")
                continue
            for one in _text(sentence, uri, places, source):
                yield frame.text(one) if isinstance(one, Text) and frame is not None else one
            counted.update(_without_box(sentence, boxes, places))
        counted["not_mentioned", "boxes of phrases that no caption has"] += sum(
            len(found) for chain, found in boxes.boxes.items() if chain not in mentioned
        )
        for (reason, detail), total in sorted(counted.items()):
            if total:
                uri = f"#annotations of {image}"
                yield PassedOver(uri=uri, reason=reason, detail=detail, what="annotation", number=total)

    def _boxes(
        self, image: str, upright_wh: tuple[int, int], orientation: int
    ) -> Generator[Rejected, None, tuple[Boxes, Frame | None]]:
        """Boxes of an image and the frame they are of; none of them where the xml cannot be read or used."""
        nothing = Boxes(None, {}, frozenset(), frozenset())
        uri = f"#annotations of {image}"
        if image not in self.files.boxes:
            return nothing, None
        try:
            boxes = parse_boxes(self.files.boxes[image])
        except ValueError as error:
            yield Rejected(uri=uri, reason="bad_record", detail=f"{BOXES}/{image}.xml: {error}", what="annotation")
            return nothing, None
        placed = [
            (f"#annotation/{image}/{chain}/{number}", {"bbox": xywh_of(corners)})
            for chain, found in boxes.boxes.items()
            for number, corners in enumerate(found)
        ]
        frame = yield from framed(placed, boxes.image_wh, upright_wh, orientation, self.exif)
        return boxes, frame

    def _sentences(self, image: str) -> Iterator[tuple[int, Sentence | Rejected]]:
        """Captions by their number from 1, as the publisher counts them."""
        lines = self.files.sentences.get(image, b"").decode("utf-8", "replace").splitlines()
        for number, line in enumerate((line for line in lines if line.strip()), 1):
            try:
                yield number, parse_sentence(line)
            except ValueError as error:
                uri = f"#caption/{image}/{number}"
                yield number, Rejected(uri=uri, reason="bad_markup", detail=str(error), what="annotation")


def _id(name: str) -> str:
    return name.removesuffix(".jpg")


def _text(
    sentence: Sentence, uri: str, places: Mapping[str, Sequence[PhraseRegion]], source: Source
) -> Iterator[Text | Rejected | PassedOver]:
    text = clean_text(sentence.text)
    if not text:
        yield PassedOver(uri=uri, reason="empty", what="annotation")
        return
    if len(text) > MAX_TEXT_CHARS:
        yield too_long(uri, text)
        return
    phrases = []
    for one in sentence.mentions:
        start, end = clean_span(sentence.text, one.start, one.end)
        if one.chain in places and start < end:
            phrases.append(
                Phrase(
                    phrase=text[start:end],
                    start=start,
                    end=end,
                    score=1.0,
                    regions=tuple(places[one.chain]),
                    source=source,
                )
            )
    yield Text(granularity="brief", text=text, score=1.0, phrases=tuple(phrases), source=source)


def _without_box(
    sentence: Sentence, boxes: Boxes, places: Mapping[str, Sequence[PhraseRegion]]
) -> Iterator[tuple[str, str]]:
    """(reason, detail) of every phrase that is grounded on nothing, and of the types of those that have some."""
    for one in sentence.mentions:
        if one.types:
            yield "not_kept", "types of phrases"
        if one.chain == NOT_VISUAL:
            yield "not_visual", "phrases that mean nothing that can be seen (chain 0)"
        elif one.chain not in places:
            if one.chain in boxes.scenes:
                yield "scene", "phrases that mean the whole scene"
            elif one.chain in boxes.without_box:
                yield "no_box", "phrases of what the picture does not show"
            else:
                yield "no_place", "phrases without a box that can be used"
