"""Visual Genome 1.0 to 1.4: its json files, with a folder of the images.

What becomes what is told in docs/sources/visual_genome.md.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import ClassVar, Literal

from fld_engine.engine.sources.item import ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import images_listing, label_chunks
from fld_engine.engine.sources.labelled import read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.visual_genome.index import IMAGES, LISTS, Files, VisualGenome, read_files
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import Kind

KIND = "visual_genome"


class VisualGenomeParams(Frozen):
    """`relationships` are counted (`count`), for they were taken from the descriptions of regions, which say them in
    sentences; or each becomes a brief text with two grounded phrases (`texts`).
    """

    relationships: Literal["texts", "count"] = "count"


class VisualGenomeSource:
    """A folder of Visual Genome's json files, and one of its images."""

    Params = VisualGenomeParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "brief_texts", "groundings"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder"})
    expects = f"Visual Genome ({IMAGES} beside {', '.join(LISTS)})"

    def __init__(self, params: VisualGenomeParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        names = {posixpath.basename(path) for path, _ in listing.ending({"json"})}
        return len(names & {IMAGES, *LISTS}) if IMAGES in names else 0

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = read_files(listing)
        images = images_listing(spec, listing)
        return label_chunks(spec, KIND, self._index(files, spec), listing, images, used=files.paths.values())

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, with what is said of them."""
        spec = chunk.spec
        files = _load(spec.url, spec.name, chunk.revision, allow_outside=spec.allow_outside)
        yield from read_labelled(chunk, unchanged(self._index(files, spec), chunk.revision, spec.url), max_bytes)

    def _index(self, files: Files, spec: SourceSpec) -> VisualGenome:
        return VisualGenome(files, exif=spec.exif, relations_as_texts=self._params.relationships == "texts")


@lru_cache(maxsize=1)
def _load(url: str, name: str, revision: str, *, allow_outside: bool) -> Files:
    """Kept a revision, so that files that changed are read again."""
    return read_files(list_files(url, name, allow_outside=allow_outside))
