"""The extension point of image sources: what a reader of one kind of source is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from fld_engine.engine.sources.item import Locator, ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.listing import Listing
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import Kind

GROUP = "fld_engine.sources"


class NoParams(Frozen):
    """A reader without settings of its own: those of `SourceSpec` say all."""


class SourceReader(Protocol):
    """Reads one kind of source. A new one is one file and one entry point in group `fld_engine.sources`.

    The entry point's name is the kind: of the source in a config, of the chunks, and of the locators that only this
    reader can read. It names a class that is built as `cls(params)`, with the nested pydantic model `Params` of the
    settings under `params` of the source. `brings` are kinds of annotations that may come with the images; `expects`
    says what `recognises` looks for, as in "a message lists what was not found: no `expects`". Constructors are cheap.

    What a source holds is named by its chunks: a chunk that was ingested once is not read again, so a chunk of changed
    content must differ in its files, their sizes, its `revision` or its `stamp` (`Listing.stamp`).
    """

    Params: ClassVar[type[Frozen]]
    brings: ClassVar[frozenset[Kind]]
    expects: ClassVar[str]

    def __init__(self, params: Any) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        """How many files of a listing are of this kind; asked where a source states no kind.

        By their names; the first bytes of a few may be looked at where names do not tell (`heads`).
        """
        ...

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """The parts of the source, in a fixed order. Raises `SourceError` where there is nothing to read."""
        ...

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Everything in a chunk, in a fixed order; what cannot be used comes as `Rejected`, never as an exception.

        What is left out by rule, or goes with an image that cannot be used, may come as `PassedOver`, to be counted.
        Images of more than `max_bytes` are rejected. Files are opened with `files.open_streamed` and `open_random`, or
        read with `read_files`: what fails there is a `TransportError` and goes through, so that only what a parser
        says of bytes that were had whole becomes `Rejected`. Raises `SourceError` where the source changed after it
        was listed.
        """
        ...


@runtime_checkable
class UsesSettings(Protocol):
    """A reader that says which of the settings in `SourceSpec` that not all kinds look at it uses; another uses all."""

    uses: ClassVar[frozenset[str]]


@runtime_checkable
class StatesNumber(Protocol):
    """A reader whose files say how many images they have, where neither a file is an image nor one is read."""

    def number(self, chunk: SourceChunk) -> int | None:
        """Images of a chunk, those that cannot be used among them; `None` where its files do not say."""
        ...


@runtime_checkable
class ChecksNew(Protocol):
    """A reader that tells, before a chunk is read for the first time, that its like are no source of images.

    Asked for the first new chunk of a source: one that was ingested once, by whatever version, goes on.
    """

    def check_new(self, chunk: SourceChunk) -> None:
        """Raises `SourceError` that says what it is, and where it belongs."""
        ...


@runtime_checkable
class ClaimsFiles(Protocol):
    """A reader to which files of other kinds belong wherever it recognises its own: images beside label files.

    `claims` are those kinds. A source of unstated kind with such files beside its own is of this reader's kind.
    """

    claims: ClassVar[frozenset[str]]


@runtime_checkable
class ReadsAgain(Protocol):
    """A reader whose images are neither whole files nor ranges of one, as its locators of its own kind say."""

    @staticmethod
    def read_again(locators: Sequence[Locator]) -> Iterator[bytes]:
        """Bytes of locators of this kind, in order. Raises `SourceError` where something is no longer there."""
        ...
