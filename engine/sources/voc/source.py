"""Pascal VOC as a source: a folder of images with an XML file for each, as the challenge, labelImg and CVAT have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from fld_engine.engine.sources.item import ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_files import after
from fld_engine.engine.sources.label_folder import images_listing, label_chunks
from fld_engine.engine.sources.labelled import read_labelled, unchanged
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.voc.index import VocParams, list_files_of, load_index, read_index, xml_files
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import Kind


class VocSource:
    """Images with boxes of people, and classes of whole images that lists tell."""

    Params = VocParams
    brings: ClassVar[frozenset[Kind]] = frozenset({"objects", "masks", "labels", "absences"})
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder"})
    expects = "Pascal VOC (Annotations/*.xml, an .xml beside an image, or ImageSets/Main/*.txt)"

    def __init__(self, params: VocParams) -> None:
        self._params = params

    @staticmethod
    def recognises(listing: Listing) -> int:
        """XML files of images, but for those of Flickr30k Entities, which lie in a folder of the same name."""
        if any(after(path, "Sentences") for path, _ in listing.ending({"txt"})):
            return 0
        return len(xml_files(listing)) or len(list_files_of(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path."""
        listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
        if not xml_files(listing) and not list_files_of(listing):
            raise SourceError(
                f"source {spec.url} holds no {self.expects} among its {len(listing.files)} files; give the folder that "
                f"holds Annotations and JPEGImages{listing.outside()}"
            )
        images = images_listing(spec, listing)
        index = read_index(spec, self._params, listing, images)
        return label_chunks(spec, "voc", index, listing, images, used=index.used)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each with what its XML file and the lists say."""
        index = load_index(chunk.spec.model_dump_json(), self._params)
        yield from read_labelled(chunk, unchanged(index, chunk.revision, chunk.spec.url), max_bytes)
