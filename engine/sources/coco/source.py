"""COCO json: an image folder with captions, boxes, masks, scene text and groundings that people made.

Captions become texts, brief ones unless their `granularity` (a field of ours, which the COCO export writes) is
`detailed` or `more_detailed`; boxes become object regions with their category as phrase, polygons and run-length masks
become masks; a box with `utf8_string` becomes a text region (COCO-Text, TextOCR), one with `tokens_positive` the place
of a phrase of its image's caption (MDETR); all of source `human`, score 1, revision the first twelve hex digits of the
json's sha256. Coordinates become those of the upright image (`frames` says which picture the json's are of). Boxes and
polygons that reach beyond the frame are cut to it.
Crowd regions (`iscrowd`) mark several objects at once: they are rejected, as COCO's own evaluation leaves them out, and
so is text that nobody could read. An annotation that cannot be used is one rejected row; its image goes on.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import ClassVar, Literal, get_args

from fld_engine.engine.data.images import Format, ImageLimits, upright_frame
from fld_engine.engine.sources.coco.annotations import parse_caption, parse_region, parse_scene_text
from fld_engine.engine.sources.coco.frames import Exif, Frame, frame_of, readings
from fld_engine.engine.sources.coco.groundings import parse_grounded_caption
from fld_engine.engine.sources.coco.index import CocoIndex, load_index, read_index
from fld_engine.engine.sources.coco.places import Record
from fld_engine.engine.sources.files import locate, read_files
from fld_engine.engine.sources.item import (
    Locator,
    PassedOver,
    ReadItem,
    Rejected,
    SourceChunk,
    SourceItem,
    SourceSpec,
)
from fld_engine.engine.sources.listing import Listing, cut, list_files, size_of
from fld_engine.engine.sources.reach import OUTSIDE, resolve
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.annotations import Annotations, Region, Source, Text
from fld_engine.schemas.errors import SourceError, UnreadableImage
from fld_engine.schemas.kinds import FROM_SOURCES, Kind
from fld_engine.schemas.origins import Origin

_ANY_IMAGE = ImageLimits(max_pixels=2**62, max_bytes=2**62, formats=get_args(Format))
"""Only the header is read; whether the image is acceptable is decided where it is decoded."""
NOT_THERE = ("missing", "link_outside")
"""Reasons of images that the json names and nobody can read."""


class CocoSource:
    """A COCO json and the folder with its images."""

    Params = NoParams
    brings: ClassVar[frozenset[Kind]] = FROM_SOURCES - {"labels", "absences"}  # places and captions are what it is for
    uses: ClassVar[frozenset[str]] = frozenset({"images_url", "exif"})
    expects = "COCO json (one .json, given by its own URL)"

    def __init__(self, params: NoParams) -> None: ...

    @staticmethod
    def recognises(listing: Listing) -> int:
        return len([path for path, _ in listing.ending({"json"}) if not path])

    def chunks(self, spec: SourceSpec) -> Sequence[SourceChunk]:
        """Runs of about a thousand images by file name; what the json promises in vain is in the first chunk."""
        index = read_index(spec.url, allow_outside=spec.allow_outside)
        images_url = spec.images_url or spec.url.rpartition("/")[0] or "."
        listing = list_files(images_url, spec.name, allow_outside=spec.allow_outside)
        sizes = dict(listing.files)
        if spec.allow_outside:
            sizes |= _elsewhere([name for name in index.images if name not in sizes], listing)
        files = sorted((name, sizes[name]) for name in index.images if name in sizes)
        missing = [name for name in index.images if name not in sizes]
        if not files:
            example = f", {missing[0]!r} for one" if missing else ""
            raise SourceError(
                f"none of the {len(index.images)} images of {spec.url} is in {images_url}{example}; "
                f"set images_url to the folder that their file_name starts from{listing.outside()}"
            )
        found = [*index.problems, *(_missing(name, listing) for name in missing)]
        rejected = tuple(
            Rejected(
                uri=f"{spec.name}{place}",
                reason=why,
                detail=detail,
                what="annotation" if place.startswith("#annotation") else "image",
            )
            for place, why, detail in found
        )
        passed_over = listing.passed_over(spec.name, index.images.keys() | {_json_in(listing, spec)}, "not_in_json")
        return [
            SourceChunk(
                spec=spec,
                kind="coco",
                base=listing.base,
                files=tuple(run),
                rejected=rejected if number == 0 else (),
                revision=index.revision,
                passed_over=passed_over,
                stamp=listing.stamp(run),
            )
            for number, run in enumerate(cut(files))
        ]

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their file names, each after the rejected rows of its annotations.

        The URI of an image is `name#file_name`: two json files that describe one image are two places of it, so that
        the annotations of both are kept.
        """
        yield from chunk.rejected
        spec = chunk.spec
        index = load_index(spec.url, chunk.revision, allow_outside=spec.allow_outside)
        for one in chunk.rejected:
            if one.reason in NOT_THERE:
                yield from _lost(index, one.uri.partition("#")[2], one.uri, "image_missing")
        for path, found in read_files(chunk, max_bytes):
            uri = f"{spec.name}#{path}"
            if isinstance(found, Rejected):
                yield found.model_copy(update={"uri": uri})
                yield from _lost(index, path, uri, "image_refused")
                continue
            texts: list[Text] = []
            regions: list[Region] = []
            for said in _annotations(index, path, found, spec):
                if isinstance(said, Rejected | PassedOver):
                    yield said.model_copy(update={"of_image": uri})
                elif isinstance(said, Text):
                    texts.append(said)
                else:
                    regions.append(said)
            annotations = Annotations(texts=tuple(texts), regions=tuple(regions))
            where = Locator(kind="file", url=chunk.url(path), length=len(found))
            yield SourceItem(uri=uri, source_label="", annotations=annotations, read=where), found


def _missing(name: str, listing: Listing) -> tuple[str, str, str]:
    if listing.set_aside.get(name) == "link_outside":
        return f"#{name}", "link_outside", OUTSIDE
    return f"#{name}", "missing", "no such file in the image folder"


def _elsewhere(names: Sequence[str], listing: Listing) -> dict[str, int]:
    """Bytes of files of the same file system that are named outside of the image folder, where they are there."""
    found = {}
    for name in names:
        url, problem = resolve(name, listing.base, allow_outside=True)
        if not problem and url.partition("://")[0] == listing.base.partition("://")[0]:
            size = size_of(url)
            if size is not None:
                found[name] = size
    return found


def _json_in(listing: Listing, spec: SourceSpec) -> str:
    """The json's own path in the image folder, if it lies there."""
    fs, path = locate(spec.url)
    return str(fs.unstrip_protocol(path)).removeprefix(f"{listing.base}/")


def _lost(index: CocoIndex, path: str, uri: str, reason: str) -> Iterator[PassedOver]:
    """What people said about an image that is not there, or cannot be used."""
    images = index.images.get(path, ())
    number = sum(len(index.annotations.get(image["id"], ())) + ("caption" in image) for image in images)
    if number:
        yield PassedOver(uri=uri, reason=reason, what="annotation", of_image=uri, number=number, lost=True)


def _annotations(
    index: CocoIndex, path: str, data: bytes, spec: SourceSpec
) -> Iterator[Text | Region | Rejected | PassedOver]:
    """What people said about one image; all is lost where it cannot be read, for it will be rejected whole."""
    try:
        upright_wh, orientation = upright_frame(data, _ANY_IMAGE)
    except UnreadableImage:
        yield from _lost(index, path, f"{spec.name}#{path}", "image_refused")
        return
    for image in index.images[path]:
        yield from _of_record(index, image, upright_wh, orientation, spec)


def _of_record(
    index: CocoIndex, image: Record, upright_wh: tuple[int, int], orientation: int, spec: SourceSpec
) -> Iterator[Text | Region | Rejected | PassedOver]:
    """What one record of an image and its annotations say; no places where it cannot be told what they are of."""
    name, source = spec.name, Source(annotator=Origin.HUMAN, model=Origin.HUMAN, revision=index.revision)
    said: dict[str, list[tuple[str, Record]]] = {"caption": [], "grounding": [], "region": []}
    for record in index.annotations.get(image["id"], ()):
        uri = f"{name}#annotation/{record.get('id')}"
        if (kind := _kind(record)) is not None:
            said[kind].append((uri, record))
        else:
            yield PassedOver(uri=uri, reason="form_not_read", detail=f"keys {', '.join(record)}", what="annotation")
    frame = yield from _frame(image, [*said["grounding"], *said["region"]], upright_wh, orientation, spec.exif)
    if frame is None:
        frame, said["grounding"], said["region"] = Frame(upright_wh), [], []
    for text in parse_grounded_caption(image, f"{name}#caption/{image['id']}", said["grounding"], frame.wh, source):
        yield frame.text(text) if isinstance(text, Text) else text
    for uri, record in said["caption"]:
        yield from parse_caption(record, uri, source)
    for uri, record in said["region"]:
        if _is_scene_text(record):
            found = parse_scene_text(record, uri, frame.wh, source)
        else:
            found = parse_region(record, uri, frame.wh, index.categories, source)
        for one in found:
            yield frame.region(one) if isinstance(one, Region) else one


def _frame(
    image: Record, places: Sequence[tuple[str, Record]], upright_wh: tuple[int, int], orientation: int, exif: Exif
) -> Generator[Rejected, None, Frame | None]:
    """The frame of an image's places; `None` where they are of another image, or nobody can tell what they are of."""
    stated = image.get("width"), image.get("height")
    stored_wh = upright_wh[::-1] if orientation >= 5 else upright_wh
    if stated not in (upright_wh, stored_wh, (None, None)):
        detail = f"it is for {stated} pixels, the upright image has {upright_wh}"
        for uri, _ in places:
            yield Rejected(uri=uri, reason="frame_mismatch", detail=detail, what="annotation")
        return None
    frame = frame_of([record for _, record in places], upright_wh, orientation, stated, exif)
    for uri, record in places if frame is None else ():
        detail = (
            f"EXIF orientation {orientation} turns the stored {stored_wh} pixels to {upright_wh}, and "
            f"{readings(record, upright_wh, orientation)}: set exif to applied or raw on the source"
        )
        yield Rejected(uri=uri, reason="frame_unknown", detail=detail, what="annotation")
    return frame


def _kind(record: Record) -> Literal["caption", "grounding", "region"] | None:
    if "tokens_positive" in record:
        return "grounding"
    if _is_scene_text(record) or "bbox" in record or "segmentation" in record:
        return "region"
    return "caption" if "caption" in record else None


def _is_scene_text(record: Record) -> bool:
    return "utf8_string" in record or "legibility" in record
