"""COCO json: an image folder with captions, boxes, masks, scene text and groundings that people made.

Captions become texts, brief ones unless their `granularity` (a field of ours, which the COCO export writes) is
`detailed` or `more_detailed`; boxes become object regions with their category as phrase, polygons and run-length masks
become masks; a box with `utf8_string` becomes a text region (COCO-Text, TextOCR), one with `tokens_positive` the place
of a phrase of its image's caption (MDETR); all of source `human`, score 1, revision the first twelve hex digits of the
json's sha256. Coordinates are those of the upright image. Boxes and polygons that reach beyond the frame are cut to it.
Crowd regions (`iscrowd`) mark several objects at once: they are rejected, as COCO's own evaluation leaves them out, and
so is text that nobody could read. An annotation that cannot be used is one rejected row; its image goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal, get_args

from fld_engine.engine.data.images import Format, ImageLimits, upright_wh
from fld_engine.engine.sources.coco.annotations import parse_caption, parse_region, parse_scene_text
from fld_engine.engine.sources.coco.groundings import parse_grounded_caption
from fld_engine.engine.sources.coco.index import CocoIndex, load_index, read_index
from fld_engine.engine.sources.coco.places import Record
from fld_engine.engine.sources.files import Listing, cut, list_files, read_files
from fld_engine.engine.sources.item import Locator, Rejected, ScannedItem, SourceChunk, SourceItem, SourceSpec
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.annotations import Annotations, Region, Source, Text
from fld_engine.schemas.errors import SourceError, UnreadableImage
from fld_engine.schemas.kinds import FROM_SOURCES, Kind
from fld_engine.schemas.origins import Origin

_ANY_IMAGE = ImageLimits(max_pixels=2**62, max_bytes=2**62, formats=get_args(Format))
"""Only the header is read; whether the image is acceptable is decided where it is decoded."""


class CocoSource:
    """A COCO json and the folder with its images."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = FROM_SOURCES
    expects = "COCO json (one .json, given by its own URL)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len([path for path, _ in listing.ending({"json"}) if not path])

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by file name; what the json promises in vain is in the first chunk."""
        index = read_index(spec.url)
        images_url = spec.images_url or spec.url.rpartition("/")[0] or "."
        listing = list_files(images_url, spec.name)
        sizes = dict(listing.files)
        files = sorted((name, sizes[name]) for name in index.images if name in sizes)
        missing = [name for name in index.images if name not in sizes]
        if not files:
            example = f", {missing[0]!r} for one" if missing else ""
            raise SourceError(
                f"none of the {len(index.images)} images of {spec.url} is in {images_url}{example}; "
                "set images_url to the folder that their file_name starts from"
            )
        found = [*index.problems, *((f"#{name}", "missing", "no such file in the image folder") for name in missing)]
        rejected = tuple(
            Rejected(
                uri=f"{spec.name}{place}",
                reason=why,
                detail=detail,
                what="annotation" if place.startswith("#annotation") else "image",
            )
            for place, why, detail in found
        )
        return [
            SourceChunk(
                spec=spec,
                kind="coco",
                base=listing.base,
                files=tuple(run),
                rejected=rejected if number == 0 else (),
                revision=index.revision,
                stamp=listing.stamp(run),
            )
            for number, run in enumerate(cut(files))
        ]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ScannedItem]:
        """Images in order of their file names, each after the rejected rows of its annotations.

        The URI of an image is `name#file_name`: two json files that describe one image are two places of it, so that
        the annotations of both are kept.
        """
        yield from chunk.rejected
        index = load_index(chunk.spec.url, chunk.revision)
        for path, found in read_files(chunk, max_bytes):
            uri = f"{chunk.spec.name}#{path}"
            if isinstance(found, Rejected):
                yield found.model_copy(update={"uri": uri})
                continue
            texts: list[Text] = []
            regions: list[Region] = []
            for one in _annotations(index, path, found, chunk.spec.name):
                if isinstance(one, Rejected):
                    yield one.model_copy(update={"of_image": uri})
                elif isinstance(one, Text):
                    texts.append(one)
                else:
                    regions.append(one)
            annotations = Annotations(texts=tuple(texts), regions=tuple(regions))
            where = Locator(kind="file", url=chunk.url(path), length=len(found))
            yield SourceItem(uri=uri, source_label="", annotations=annotations, read=where), found


def _annotations(index: CocoIndex, path: str, data: bytes, name: str) -> Iterator[Text | Region | Rejected]:
    """What people said about one image; nothing where it cannot be read, for it will be rejected whole."""
    try:
        image_wh = upright_wh(data, _ANY_IMAGE)
    except UnreadableImage:
        return
    for image in index.images[path]:
        yield from _of_record(index, image, image_wh, name)


def _of_record(
    index: CocoIndex, image: Record, image_wh: tuple[int, int], name: str
) -> Iterator[Text | Region | Rejected]:
    """What one record of an image and its annotations say; no places where it is about an image of another size."""
    source = Source(annotator=Origin.HUMAN, model=Origin.HUMAN, revision=index.revision)
    said: dict[str, list[tuple[str, Record]]] = {"caption": [], "grounding": [], "region": []}
    for record in index.annotations.get(image["id"], ()):
        if (kind := _kind(record)) is not None:
            said[kind].append((f"{name}#annotation/{record.get('id')}", record))
    stated = image.get("width"), image.get("height")
    num_places = len(said["grounding"]) + len(said["region"])
    if num_places and stated not in (image_wh, (None, None)):
        detail = f"{num_places} regions are for {stated} pixels, the upright image has {image_wh}"
        yield Rejected(uri=f"{name}#{image['file_name']}", reason="frame_mismatch", detail=detail, what="annotation")
        said["grounding"], said["region"] = [], []
    yield from parse_grounded_caption(image, f"{name}#caption/{image['id']}", said["grounding"], image_wh, source)
    for uri, record in said["caption"]:
        yield from parse_caption(record, uri, source)
    for uri, record in said["region"]:
        if _is_scene_text(record):
            yield from parse_scene_text(record, uri, image_wh, source)
        else:
            yield from parse_region(record, uri, image_wh, index.categories, source)


def _kind(record: Record) -> Literal["caption", "grounding", "region"] | None:
    if "tokens_positive" in record:
        return "grounding"
    if _is_scene_text(record) or "bbox" in record or "segmentation" in record:
        return "region"
    return "caption" if "caption" in record else None


def _is_scene_text(record: Record) -> bool:
    return "utf8_string" in record or "legibility" in record
