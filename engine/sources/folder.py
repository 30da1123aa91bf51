"""A folder of images: every file with an image's extension is a candidate, everything else in it is ignored."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import ClassVar

from fld_engine.engine.sources.files import Listing, cut, list_files, read_files
from fld_engine.engine.sources.item import (
    IMAGE_EXTENSIONS,
    Locator,
    Rejected,
    ScannedItem,
    SourceChunk,
    SourceItem,
    SourceSpec,
    extension,
)
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class FolderSource:
    """Images under a folder, or a single one; the folder that an image lies in is its label."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset()
    expects = f"image ({', '.join('.' + e for e in sorted(IMAGE_EXTENSIONS))})"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(listing.ending(IMAGE_EXTENSIONS))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand files, sorted by path."""
        listing = list_files(spec.url, spec.name)
        rejected = tuple(r for r in listing.rejected if extension(r.uri) in IMAGE_EXTENSIONS)
        runs = cut(listing.ending(IMAGE_EXTENSIONS))
        if not runs and not rejected:
            raise SourceError(
                f"source {spec.url} holds no image: of its {len(listing.files)} files none ends in one of "
                f"{', '.join(sorted(IMAGE_EXTENSIONS))}; give the folder that the images are in"
            )
        return [
            SourceChunk(
                spec=spec,
                kind="folder",
                base=listing.base,
                files=tuple(run),
                rejected=rejected if index == 0 else (),
                stamp=listing.stamp(run),
            )
            for index, run in enumerate(runs or [()])
        ]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ScannedItem]:
        """Images in order of their paths; the folder an image lies in is its label."""
        yield from chunk.rejected
        for path, found in read_files(chunk, max_bytes):
            if isinstance(found, Rejected):
                yield found
                continue
            label = posixpath.basename(posixpath.dirname(path)) if chunk.spec.class_folders else ""
            where = Locator(kind="file", url=chunk.url(path), length=len(found))
            yield SourceItem(uri=chunk.uri(path), source_label=label, annotations=Annotations(), read=where), found
