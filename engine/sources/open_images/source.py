"""Open Images V4 to V7: its csv files, its masks, and localized narratives, with a folder of the images.

What becomes what is told in docs/sources/open_images.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from fld_engine.engine.data.source_account import Counting, Example
from fld_engine.engine.sources.heads import first_lines
from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import images_listing, label_chunks, passing_over
from fld_engine.engine.sources.labelled import read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.open_images.columns import what_is
from fld_engine.engine.sources.open_images.index import Labels, read_labels
from fld_engine.engine.sources.open_images.said import OpenImages, id_of
from fld_engine.engine.sources.tables_by_image import header_of
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.kinds import Kind

KIND = "open_images"
MAX_NAMED_MISSING = 10_000
"""More images than this that are not there are counted, not named one by one: people have a part of nine million."""
_MARKS = ("annotations-bbox", "annotations-human-imagelabels", "annotations-machine-imagelabels", "annotations-vrd")
"""What names of its files have in common since V4."""


class OpenImagesParams(Frozen):
    """`relationships`: each becomes a brief text with two grounded phrases (`texts`), or they are counted (`count`)."""

    relationships: Literal["texts", "count"] = "texts"


class OpenImagesSource:
    """A folder of Open Images' label files, and one of its images."""

    Params = OpenImagesParams
    brings: ClassVar[frozenset[Kind]] = frozenset(
        {"labels", "absences", "objects", "masks", "brief_texts", "detailed_texts", "groundings"}
    )
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif", "crowd"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder", "coco"})
    expects = "Open Images csv (…-annotations-bbox.csv, …-imagelabels.csv)"

    def __init__(self, params: OpenImagesParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        """Files by the names of the releases; else csv files with columns of boxes or masks, as tools have them."""
        named = sum(any(mark in path for mark in _MARKS) for path, _ in listing.ending({"csv"}))
        return named or sum(what_is(header_of(line)) in ("boxes", "masks") for _, line in first_lines(listing, "csv"))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path. Memory: about 60 bytes a row of all label files."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        labels = read_labels(listing)
        images = images_listing(spec, listing)
        of_masks = labels.used if images is listing else frozenset()
        paths = [path for path, _ in images.ending(IMAGE_EXTENSIONS) if path not in of_masks]
        known = _images(labels)
        is_known = pc.is_in(pa.array(map(id_of, paths), type=pa.string()), value_set=known)
        there = [path for path, found in zip(paths, is_known.to_pylist(), strict=True) if found]
        here = pa.array(map(id_of, there), type=pa.string())
        missing = known.filter(pc.invert(pc.is_in(known, value_set=here)))
        named = [f"{image}.jpg" for image in missing.to_pylist()] if len(missing) <= MAX_NAMED_MISSING else []
        index = self._index(labels, spec, [*there, *named])
        chunks = label_chunks(spec, KIND, index, listing, images, used=labels.used)
        if len(missing) > MAX_NAMED_MISSING:
            counting = Counting()
            example = Example(uri=f"{spec.name}#{missing[0].as_py()}", detail="not in the folder of images")
            counting.add("images", "passed_over", "missing", len(missing), example)
            chunks = passing_over(chunks, counting.account().images.passed_over)
        return chunks

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, with what is said of them."""
        spec = chunk.spec
        labels = _load(spec.url, spec.name, chunk.revision, allow_outside=spec.allow_outside)
        index = unchanged(self._index(labels, spec, ()), chunk.revision, spec.url)
        yield from read_labelled(chunk, index, max_bytes)

    def _index(self, labels: Labels, spec: SourceSpec, names: Sequence[str]) -> OpenImages:
        return OpenImages(
            labels=labels,
            names=names,
            exif=spec.exif,
            keep_crowds=spec.crowd == "keep",
            relations_as_texts=self._params.relationships == "texts",
        )


@lru_cache(maxsize=1)
def _load(url: str, name: str, revision: str, *, allow_outside: bool) -> Labels:
    """Kept a revision, so that files that changed are read again."""
    return read_labels(list_files(url, name, allow_outside=allow_outside))


def _images(labels: Labels) -> Any:
    """Ids of all images that label files and lists of images name, sorted."""
    held = [table.images for table in labels.tables.values()]
    ids = pc.unique(pa.chunked_array(held, type=pa.string()))
    return ids.take(pc.sort_indices(ids))
