"""A folder of images: every file with an image's extension is a candidate, everything else in it is passed over."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import ClassVar

from fld_engine.engine.sources.classes import class_labels
from fld_engine.engine.sources.files import read_files
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
from fld_engine.engine.sources.listing import Listing, cut, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class FolderSource:
    """Images under a folder, or a single one; the folder that an image lies in is its class."""

    Params = NoParams
    # whether a folder is named after what its images show, nobody knows: it does not stand in for a classifier
    brings: ClassVar[frozenset[Kind]] = frozenset()
    uses: ClassVar[frozenset[str]] = frozenset({"class_folders"})
    expects = f"image ({', '.join('.' + e for e in sorted(IMAGE_EXTENSIONS))})"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(listing.ending(IMAGE_EXTENSIONS))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand files, sorted by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        rejected = tuple(r for r in listing.rejected if extension(r.uri) in IMAGE_EXTENSIONS)
        images = listing.ending(IMAGE_EXTENSIONS)
        runs, passed_over = cut(images), listing.passed_over(spec.name, {path for path, _ in images})
        if not runs and not rejected:
            raise SourceError(
                f"source {spec.url} holds no image: of its {len(listing.files)} files none ends in one of "
                f"{', '.join(sorted(IMAGE_EXTENSIONS))}; give the folder that the images are in{listing.outside()}"
            )
        return [
            SourceChunk(
                spec=spec,
                kind="folder",
                base=listing.base,
                files=tuple(run),
                rejected=rejected if index == 0 else (),
                passed_over=passed_over,
                stamp=listing.stamp(run),
            )
            for index, run in enumerate(runs or [()])
        ]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ScannedItem]:
        """Images in order of their paths, each with its class; one in the source's own folder has none."""
        yield from chunk.rejected
        for path, found in read_files(chunk, max_bytes):
            if isinstance(found, Rejected):
                yield found
                continue
            label = posixpath.basename(posixpath.dirname(path)) if chunk.spec.class_folders else ""
            where = Locator(kind="file", url=chunk.url(path), length=len(found))
            annotations = Annotations(labels=class_labels(label))
            yield SourceItem(uri=chunk.uri(path), source_label=label, annotations=annotations, read=where), found
