"""Open a source by what it is, and read what was found in it again. Readers are found by entry points."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from fld_engine.engine.data.discovery import installed, load
from fld_engine.engine.data.settings import parse_settings
from fld_engine.engine.data.transport import failed
from fld_engine.engine.sources.addresses.lists import layout_of
from fld_engine.engine.sources.authors import wrong_maker
from fld_engine.engine.sources.files import read_located
from fld_engine.engine.sources.item import (
    AUTO,
    IN_FILES,
    MAX_ITEM_BYTES,
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    ScannedItem,
    SourceChunk,
    SourceSpec,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import (
    GROUP,
    ChecksNew,
    ClaimsFiles,
    ReadsAgain,
    SourceReader,
    StatesNumber,
    UsesSettings,
)
from fld_engine.schemas.errors import ConfigError, SourceError, TransportError, unknown_name
from fld_engine.schemas.kinds import FROM_SOURCES, Kind

OF_IMAGES = ("folder", "zip", "tars", "parquet")
"""Kinds of sources that are images, with what lies beside them, and have no label files."""
OF_SOME_KINDS: Mapping[str, str] = {
    "class_folders": "says whether the folder that an image lies in is its label, for folders of images",
    "images_url": "is the folder of images of label files",
    "exif": "says which picture the boxes of label files are of",
    "crowd": "says what becomes of boxes of several things, such as COCO's with iscrowd",
    "made_by": "says who made the annotations of label files",
    "image_column": "names a column of Parquet",
    "uri_column": "names a column of Parquet",
    "caption_columns": "names columns of Parquet, and fields of records beside images",
}
"""Settings of a source that not all kinds look at, and what they are for."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source whose kind is known; `chunks` lists it."""

    spec: SourceSpec
    kind: str

    def chunks(self) -> Sequence[SourceChunk]:
        """Its parts, in a fixed order, for workers to read. Raises `SourceError` where there is nothing to read."""
        made = _reader(self.kind, self.spec).chunks(self.spec)
        if wrong := {chunk.kind for chunk in made} - {self.kind}:
            raise SourceError(f"source kind {self.kind!r} made chunks of kind {wrong.pop()!r}: its package is at fault")
        return made

    def number(self, chunk: SourceChunk) -> int | None:
        """Images that a chunk says it has, `None` where only reading it tells."""
        reader = _reader(self.kind, self.spec)
        return reader.number(chunk) if isinstance(reader, StatesNumber) else None


def open_source(spec: SourceSpec) -> Source:
    """Find out what a source is, from its names alone.

    Raises `SourceError` where that is not clear, `ConfigError` for a kind that is not installed and wrong parameters.
    """
    check_spec(spec, where=f"source {spec.name}")
    kind = spec.kind
    if kind == AUTO:
        kind, spec = _recognised(spec)
    _check_settings(spec, kind, where=f"source {spec.name}")
    return Source(spec, kind)


def check_spec(spec: SourceSpec, *, where: str) -> None:
    """Raises `ConfigError` for a kind that is not installed, and for settings that its reader does not take.

    `where` opens the message: the path of the source in a config.
    """
    kinds = [AUTO, *installed(GROUP)]
    if spec.kind not in kinds:
        raise ConfigError(f"{where}.kind: {unknown_name('source', spec.kind, kinds)}")
    if wrong_maker(spec.made_by):
        raise ConfigError(
            f"{where}.made_by: {spec.made_by!r} is a word of the engine's own; give the name of the model that made "
            "the annotations, or human"
        )
    if spec.fetch is not None and spec.kind not in (AUTO, "parquet") and layout_of(spec) is None:
        raise ConfigError(
            f"{where}.fetch: a source of kind {spec.kind!r} holds its images; lists of addresses are of kind "
            "addresses, cc3m, cc12m, laion, datacomp, coyo or parquet"
        )
    if spec.kind != AUTO:
        parse_settings(_class(spec.kind).Params, spec.params, under=f"{where}.params")
        _check_settings(spec, spec.kind, where=where)
    elif spec.params:
        raise ConfigError(f"{where}.params: {dict(spec.params)} are for a source of a stated kind; set kind")


def _check_settings(spec: SourceSpec, kind: str, *, where: str) -> None:
    """Raises `ConfigError` for a setting that does nothing for this kind of source."""
    reader = _class(kind)
    for name, what in OF_SOME_KINDS.items():
        given = getattr(spec, name)
        unused = isinstance(reader, UsesSettings) and name not in reader.uses
        if unused and given != SourceSpec.model_fields[name].default:
            raise ConfigError(
                f"{where}.{name}: {given!r} does nothing for a source of kind {kind!r}: it {what}; leave it out"
            )


def brings(spec: SourceSpec) -> frozenset[Kind]:
    """Kinds of annotations that may come with a source: all that any may bring where its kind is not known here."""
    return _class(spec.kind).brings if spec.kind in installed(GROUP) else FROM_SOURCES


def read_chunk(
    chunk: SourceChunk, max_bytes: int = MAX_ITEM_BYTES, *, passed_over: Callable[[PassedOver], None] | None = None
) -> Iterator[ScannedItem]:
    """Everything in a chunk, in a fixed order: images with their bytes, and what cannot be used.

    `passed_over` is told of what becomes neither, before the image that it belongs to. Images of more than `max_bytes`
    are rejected without being read. Raises `SourceError` where the source changed after it was listed, `TransportError`
    where bytes could not be had, and `ConfigError` where its reader is not installed here.
    """
    for found in _of_reader(chunk, max_bytes):
        if isinstance(found, PassedOver):
            if passed_over is not None:
                passed_over(found)
            continue
        if not isinstance(found, Rejected) and found[0].read.kind not in (*IN_FILES, chunk.kind):
            raise SourceError(
                f"source kind {chunk.kind!r} says of {found[0].uri} that it is read again as {found[0].read.kind!r}; "
                f"expected one of {', '.join((*IN_FILES, chunk.kind))}: its package is at fault"
            )
        yield found


def _of_reader(chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
    """What a reader finds; an `OSError` that one lets through is no verdict on an image either."""
    try:
        yield from _reader(chunk.kind, chunk.spec).read(chunk, max_bytes)
    except OSError as error:
        raise failed(chunk.base, error) from error


def check_new(chunks: Sequence[SourceChunk]) -> None:
    """Ask the readers of chunks that no ingest has read yet, for the first of each source.

    Raises `SourceError` where one knows that its like are no images.
    """
    for chunk in {chunk.spec.name: chunk for chunk in reversed(chunks)}.values():
        reader = _reader(chunk.kind, chunk.spec)
        if isinstance(reader, ChecksNew):
            reader.check_new(chunk)


def read_items(locators: Sequence[Locator]) -> Iterator[bytes]:
    """Bytes of images, in order; quickest when neighbours stand in the order they were scanned in.

    Raises `SourceError` where something is no longer there, `TransportError` where it could not be had, and
    `ConfigError` where its reader is not installed here.
    """
    for reader, group in itertools.groupby(locators, key=lambda at: "" if at.kind in IN_FILES else at.kind):
        neighbours = list(group)
        yield from _again(reader, neighbours) if reader else read_located(neighbours)


def read_bytes(locator: Locator) -> bytes:
    """Bytes of one image. Raises `SourceError` where it is no longer there."""
    return next(read_items([locator]))


def _class(kind: str) -> type[SourceReader]:
    found: type[SourceReader] = load(GROUP, kind, "source")
    return found


def _reader(kind: str, spec: SourceSpec) -> SourceReader:
    found = _class(kind)
    return found(parse_settings(found.Params, spec.params, under=f"source {spec.name}.params"))


def _again(kind: str, locators: Sequence[Locator]) -> Iterator[bytes]:
    found = _class(kind)
    if not isinstance(found, ReadsAgain):
        raise SourceError(f"source kind {kind!r} has no read_again for {locators[0].url}: its package is at fault")
    return found.read_again(locators)


def _recognised(spec: SourceSpec) -> tuple[str, SourceSpec]:
    """The kind of a source; of a zip with label files, the source that they are in it."""
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    kind = _kind_of(listing, spec)
    if kind != "zip" or [path for path, _ in listing.files] != [""]:
        return kind, spec
    inside = spec.model_copy(update={"url": f"zip://::{spec.url}"})
    try:
        within = _kind_of(list_files(inside.url, spec.name), inside)
    except TransportError:
        return kind, spec  # the zip's own reader says what is wrong with it
    return (within, inside) if within not in OF_IMAGES else (kind, spec)


def _kind_of(listing: Listing, spec: SourceSpec) -> str:
    readers = {kind: _class(kind) for kind in installed(GROUP)}
    found = {kind: number for kind, reader in readers.items() if (number := reader.recognises(listing))}
    for kind in list(found):
        reader = readers[kind]
        if kind in found and isinstance(reader, ClaimsFiles):
            found = {other: number for other, number in found.items() if other == kind or other not in reader.claims}
    if len(found) == 1:
        return next(iter(found))
    if found:
        what = ", ".join(f"{number} for {kind!r}" for kind, number in found.items())
        raise SourceError(
            f"source {spec.url} holds files of several kinds ({what}); give each kind as a source of its own, with "
            "kind set to one of them, or a narrower URL"
        )
    expected = ", ".join(dict.fromkeys(f"no {reader.expects}" for reader in readers.values()))
    raise SourceError(f"source {spec.url} holds {expected} among its {len(listing.files)} files{listing.outside()}")
