"""A folder of images: every file with an image's extension is a candidate.

What bears an image's name tells of it (`beside`): captions in `.txt` and its like, captions, boxes and classes in
`.json`; so do the rows of `metadata.jsonl`, `.csv` or `.parquet`. Everything else in the folder is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.pictures import chunks_of_pictures, read_pictures
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class FolderSource:
    """Images under a folder, or a single one, with what lies beside them; the folder an image lies in is its class."""

    Params = NoParams
    # whether a folder is named after what its images show, nobody knows: it does not stand in for a classifier
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts", "objects", "masks", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"class_folders", "caption_columns"})
    expects = f"image ({', '.join('.' + e for e in sorted(IMAGE_EXTENSIONS))})"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(listing.ending(IMAGE_EXTENSIONS))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand files, sorted by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        if found := chunks_of_pictures(spec, "folder", listing):
            return found
        raise SourceError(
            f"source {spec.url} holds no image: of its {len(listing.files)} files none ends in one of "
            f"{', '.join(sorted(IMAGE_EXTENSIONS))}; give the folder that the images are in{listing.outside()}"
        )

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each with its class; one in the source's own folder has none."""
        yield from read_pictures(chunk, max_bytes)
