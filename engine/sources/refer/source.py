"""RefCOCO, RefCOCO+ and RefCOCOg: `refs(NAME).p` and `instances.json`, with COCO's images of train2014.

What becomes what is told in docs/sources/refcoco.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import ClassVar

from fld_engine.engine.sources.item import ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import images_listing, label_chunks
from fld_engine.engine.sources.labelled import read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.refer.index import INSTANCES, Files, References, is_references, read_files
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import Kind

KIND = "refcoco"


class RefCocoParams(Frozen):
    """`split_by` chooses among several files of references by who split them: `unc`, `google`, `umd`, `berkeley`."""

    split_by: str = ""


class RefCocoSource:
    """A folder with references and instances, and one of the images."""

    Params = RefCocoParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "masks"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif", "crowd"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder", "coco"})
    expects = f"RefCOCO (refs(NAME).p beside {INSTANCES})"

    def __init__(self, params: RefCocoParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        return sum(is_references(path) for path, _ in listing.files)

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        files = read_files(listing, self._params.split_by, spec.crowd)
        images = images_listing(spec, listing)
        return label_chunks(spec, KIND, References(files, spec.exif), listing, images, used=files.used)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, with what is said of them."""
        spec = chunk.spec
        split_by, outside = self._params.split_by, spec.allow_outside
        files = _load(spec.url, spec.name, split_by, spec.crowd, chunk.revision, allow_outside=outside)
        yield from read_labelled(chunk, unchanged(References(files, spec.exif), chunk.revision, spec.url), max_bytes)


@lru_cache(maxsize=1)
def _load(url: str, name: str, split_by: str, crowd: str, revision: str, *, allow_outside: bool) -> Files:
    """Kept a revision, so that files that changed are read again."""
    return read_files(list_files(url, name, allow_outside=allow_outside), split_by, crowd)
