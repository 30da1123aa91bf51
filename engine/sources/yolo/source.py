"""YOLO as a source: images with a text file of lines for each, as ultralytics, Darknet and the tools around have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from fld_engine.engine.sources.item import IMAGE_EXTENSIONS, ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_files import after
from fld_engine.engine.sources.label_folder import images_listing, label_chunks
from fld_engine.engine.sources.labelled import read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.yolo.index import (
    LABELS,
    YoloParams,
    label_files,
    load_index,
    name_files,
    read_index,
)
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class YoloSource:
    """Images with boxes or polygons; one without a label file has nothing on it, as the layout has it."""

    Params = YoloParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "masks"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif", "made_by"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder"})
    expects = "YOLO (labels/*.txt beside images/, or .txt beside images with data.yaml, classes.txt or obj.names)"

    def __init__(self, params: YoloParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        """Label files of images: all of them in a folder `labels`, others only where a file names classes.

        Without any image, for they may lie elsewhere: those in a folder `labels` where a file names classes.
        """
        has_names = bool(name_files(listing))
        if has_names and not listing.ending(IMAGE_EXTENSIONS):
            return sum(1 for path, _ in listing.ending({"txt"}) if after(path, LABELS))
        images = {path for path, _ in listing.files}
        found = {image: path for image, (path, _) in label_files(listing, listing).items() if image in images}
        return sum(1 for path in found.values() if has_names or after(path, LABELS))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        images = images_listing(spec, listing)
        if not label_files(listing, images):
            raise SourceError(
                f"source {spec.url} holds no {self.expects} among its {len(listing.files)} files; folders of a class "
                f"each are of kind folder{listing.outside()}"
            )
        index = read_index(spec, self._params, listing, images)
        return label_chunks(spec, "yolo", index, listing, images, used=index.used)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each with what its lines say."""
        index = load_index(chunk.spec.model_dump_json(), self._params)
        yield from read_labelled(chunk, unchanged(index, chunk.revision, chunk.spec.url), max_bytes)
