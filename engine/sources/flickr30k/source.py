"""Flickr30k Entities 1.0: folders `Sentences` and `Annotations`, with the folder of Flickr30k's images.

What becomes what is told in docs/sources/flickr30k_entities.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import ClassVar

from fld_engine.engine.sources.flickr30k.index import BOXES, SENTENCES, Files, Flickr30k, is_label_file, read_files
from fld_engine.engine.sources.item import ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import images_listing, label_chunks
from fld_engine.engine.sources.labelled import read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.kinds import Kind

KIND = "flickr30k_entities"


class Flickr30kSource:
    """A folder with `Sentences` and `Annotations`, and one of the images."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"brief_texts", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder"})
    expects = f"Flickr30k Entities ({SENTENCES}/*.txt beside {BOXES}/*.xml)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        """Both kinds of files must be there: a folder `Annotations` is Pascal VOC's, too."""
        found = {path.rpartition(".")[2]: path for path, _ in listing.files if is_label_file(path)}
        number = sum(is_label_file(path) for path, _ in listing.files)
        return number if {"txt", "xml"} <= found.keys() else 0

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = read_files(listing)
        images = images_listing(spec, listing)
        return label_chunks(spec, KIND, Flickr30k(files, spec.exif), listing, images, used=files.used)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, with what is said of them."""
        spec = chunk.spec
        files = _load(spec.url, spec.name, chunk.revision, allow_outside=spec.allow_outside)
        yield from read_labelled(chunk, unchanged(Flickr30k(files, spec.exif), chunk.revision, spec.url), max_bytes)


@lru_cache(maxsize=1)
def _load(url: str, name: str, revision: str, *, allow_outside: bool) -> Files:
    """Kept a revision, so that files that changed are read again."""
    return read_files(list_files(url, name, allow_outside=allow_outside))
