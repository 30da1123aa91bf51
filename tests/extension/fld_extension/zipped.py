"""Images in comic book archives, which are zips: compressed, so that they cannot be had as ranges of a file."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from fld_engine.engine.sources.files import open_random
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
    extension,
    too_large,
    web_captions,
)
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind

KIND = "zipped"


class ZippedImages:
    """Zip files under a folder, of a pattern, or a single one; a member's comment is a caption of its image."""

    class Params(Frozen):
        """`folder` limits the source to members below it."""

        folder: str = ""

    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts"})
    expects = "comic book archive (.cbz)"

    def __init__(self, params: Params) -> None:
        self.params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(listing.ending({"cbz"}))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """One chunk per zip, sorted by path."""
        listing = list_files(spec.url, spec.name)
        zips = listing.ending({"cbz"})
        if not zips:
            raise SourceError(f"source {spec.url} holds no .cbz among its {len(listing.files)} files")
        return [
            SourceChunk(spec=spec, kind=KIND, base=listing.base, files=(file,), stamp=listing.stamp([file]))
            for file in zips
        ]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in the order of the zip's own list."""
        ((path, _),) = chunk.files
        try:
            with _opened(chunk.url(path)) as archive:
                for info in archive.infolist():
                    if extension(info.filename) in IMAGE_EXTENSIONS and info.filename.startswith(self.params.folder):
                        yield from self._image(archive, info, chunk, path, max_bytes)
        except zipfile.BadZipFile as error:
            yield Rejected(uri=chunk.uri(path), reason="corrupt", detail=str(error))

    @staticmethod
    def read_again(locators: Sequence[Locator]) -> Iterator[bytes]:
        """`column` of a locator is the name of a member."""
        for at in locators:
            with _opened(at.url) as archive:
                yield archive.read(at.column)

    @staticmethod
    def _image(
        archive: zipfile.ZipFile, info: zipfile.ZipInfo, chunk: SourceChunk, path: str, max_bytes: int
    ) -> Iterator[ReadItem]:
        uri = f"{chunk.uri(path)}!{info.filename}"
        if info.file_size > max_bytes:
            yield too_large(uri, info.file_size, max_bytes)
            return
        annotations, rejected = web_captions([info.comment.decode("utf-8", "replace")], uri)
        yield from rejected
        where = Locator(kind=KIND, url=chunk.url(path), column=info.filename)
        yield SourceItem(uri=uri, source_label="", annotations=annotations, read=where), archive.read(info)


@contextmanager
def _opened(url: str) -> Iterator[zipfile.ZipFile]:
    try:
        with open_random(url) as stream, zipfile.ZipFile(stream) as archive:
            yield archive
    except KeyError as error:
        raise SourceError(f"{url} cannot be read: {error}") from error
