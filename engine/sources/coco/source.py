"""COCO json: an image folder with captions, boxes, masks, classes, scene text and groundings.

Captions become texts, brief ones unless their `granularity` (a field of ours, which the COCO export writes) is
`detailed` or `more_detailed`; boxes become object regions with their category as phrase, polygons and run-length masks
become masks; a category without a place becomes a label of the image, and LVIS's negatives become absences; a box with
`utf8_string` becomes a text region (COCO-Text, TextOCR), one with `tokens_positive` the place of a phrase of its
image's caption (MDETR). All are of source `human` with score 1, unless the json (`fld_annotator`) or the source's
`made_by` says who made them; revision the first twelve hex digits of the json's sha256. What tools write otherwise than
COCO is read where it can mean one thing (`values`, `forms`). Coordinates become those of the upright image (`frames`
says which picture the json's are of). Boxes and polygons that reach beyond the frame are cut to it.
Crowd regions (`iscrowd`) mark several objects at once: they are rejected, as COCO's own evaluation leaves them out,
unless `crowd` says that they are objects; so is text that nobody could read. An annotation that cannot be used is one
rejected row; its image goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

from fld_engine.engine.sources.archives import folder_at, path_below
from fld_engine.engine.sources.coco.index import load_index, read_index
from fld_engine.engine.sources.coco.labels import CocoLabels
from fld_engine.engine.sources.heads import coco_files
from fld_engine.engine.sources.item import ReadItem, SourceChunk, SourceSpec
from fld_engine.engine.sources.label_folder import NOT_LABELLED
from fld_engine.engine.sources.labelled import chunks_of, read_labelled
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.errors import SourceError
from fld_engine.schemas.kinds import FROM_SOURCES, Kind


class CocoSource:
    """A COCO json and the folder with its images."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = FROM_SOURCES - {"labels", "absences"}  # places and captions are what it is for
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif", "crowd", "made_by"})
    claims: ClassVar[frozenset[str]] = frozenset({"folder"})
    expects = "COCO json (one .json, given by its own URL, or by that of the folder with it and its images)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len(coco_files(listing))

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by path; what the json promises in vain is in the first chunk.

        Of a folder with one json, chunks are as if the json and the folder of its images had been given.
        """
        spec = _given_by_json(spec)
        index = read_index(spec.url, spec.crowd)
        if index.num_scored and not spec.made_by:
            raise SourceError(
                f"{index.num_scored} annotations of {spec.url} have a score, as the predictions of a model have, and "
                "nothing says whose they are: set made_by on the source to the name of the model, or to human"
            )
        listing = list_files(_images_url(spec), spec.name, allow_outside=spec.allow_outside)
        labels = CocoLabels(index, spec.exif, spec.made_by)
        return chunks_of(spec, "coco", labels, listing, labels={_json_in(listing, spec)}, unnamed=NOT_LABELLED)

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each after the rejected rows of its annotations."""
        spec = chunk.spec
        index = load_index(spec.url, chunk.revision, spec.crowd)
        return read_labelled(chunk, CocoLabels(index, spec.exif, spec.made_by), max_bytes)


def _given_by_json(spec: SourceSpec) -> SourceSpec:
    """A source whose URL is that of its json. Raises `SourceError` for a folder without one, and with several."""
    listing = list_files(spec.url, spec.name, allow_outside=spec.allow_outside)
    if not listing.files or not listing.files[0][0]:
        return spec
    found = coco_files(listing) or ([path for path, _ in listing.ending({"json"})] if spec.kind == "coco" else [])
    if len(found) == 1:
        return spec.model_copy(update={"url": listing.url(found[0]), "images_url": spec.images_url or spec.url})
    if not found:
        raise SourceError(f"source {spec.url} is a folder without a COCO json; give the json by its own URL")
    raise SourceError(
        f"source {spec.url} holds {len(found)} COCO jsons ({', '.join(found[:8])}); give each as a source of its own: "
        f"url: {listing.url(found[0])}, images_url: the folder of its images; or set kind: folder for the images alone"
    )


def _images_url(spec: SourceSpec) -> str:
    return spec.images_url or folder_at(spec.url)


def _json_in(listing: Listing, spec: SourceSpec) -> str:
    """The json's own path in the image folder, if it lies there."""
    return path_below(listing.base, list_files(spec.url, spec.name, allow_outside=spec.allow_outside).base)
