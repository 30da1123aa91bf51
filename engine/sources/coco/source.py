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

from collections.abc import Collection, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from fld_engine.engine.sources.coco.annotations import parse_caption, parse_region, parse_scene_text
from fld_engine.engine.sources.coco.frames import Exif, Frame, frame_of, readings
from fld_engine.engine.sources.coco.groundings import parse_grounded_caption
from fld_engine.engine.sources.coco.index import CocoIndex, load_index, read_index
from fld_engine.engine.sources.coco.places import Record
from fld_engine.engine.sources.files import locate
from fld_engine.engine.sources.item import PassedOver, ReadItem, Rejected, SourceChunk, SourceSpec
from fld_engine.engine.sources.labelled import Problem, Said, chunks_of, read_labelled
from fld_engine.engine.sources.listing import Listing, list_files
from fld_engine.engine.sources.reader import NoParams
from fld_engine.schemas.annotations import Region, Source, Text
from fld_engine.schemas.kinds import FROM_SOURCES, Kind
from fld_engine.schemas.origins import Origin


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
        """Runs of about a thousand images by path; what the json promises in vain is in the first chunk."""
        index = CocoLabels(read_index(spec.url), spec.exif)
        listing = list_files(_images_url(spec), spec.name, allow_outside=spec.allow_outside)
        return chunks_of(spec, "coco", index, listing, labels={_json_in(listing, spec)}, unnamed="not_in_json")

    def read(self, chunk: SourceChunk, max_bytes: int) -> Iterator[ReadItem]:
        """Images in order of their paths, each after the rejected rows of its annotations."""
        spec = chunk.spec
        return read_labelled(chunk, CocoLabels(load_index(spec.url, chunk.revision), spec.exif), max_bytes)


def _images_url(spec: SourceSpec) -> str:
    return spec.images_url or spec.url.rpartition("/")[0] or "."


def _json_in(listing: Listing, spec: SourceSpec) -> str:
    """The json's own path in the image folder, if it lies there."""
    fs, path = locate(spec.url)
    return str(fs.unstrip_protocol(path)).removeprefix(f"{listing.base}/")


@dataclass(frozen=True, slots=True)
class CocoLabels:
    """A COCO json as an index of labels; `exif` says of which picture its places are, where nothing else does."""

    index: CocoIndex
    exif: Exif

    @property
    def revision(self) -> str:
        return self.index.revision

    @property
    def names(self) -> Collection[str]:
        return self.index.images.keys()

    @property
    def problems(self) -> Sequence[Problem]:
        return self.index.problems

    def count(self, name: str) -> int:
        images = self.index.images.get(name, ())
        return sum(len(self.index.annotations.get(image["id"], ())) + ("caption" in image) for image in images)

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        for image in self.index.images[name]:
            yield from _of_record(self.index, image, upright_wh, orientation, self.exif)


def _of_record(
    index: CocoIndex, image: Record, upright_wh: tuple[int, int], orientation: int, exif: Exif
) -> Iterator[Said]:
    """What one record of an image and its annotations say; no places where it cannot be told what they are of."""
    source = Source(annotator=Origin.HUMAN, model=Origin.HUMAN, revision=index.revision)
    said: dict[str, list[tuple[str, Record]]] = {"caption": [], "grounding": [], "region": []}
    for record in index.annotations.get(image["id"], ()):
        uri = f"#annotation/{record.get('id')}"
        if (kind := _kind(record)) is not None:
            said[kind].append((uri, record))
        else:
            yield PassedOver(uri=uri, reason="form_not_read", detail=f"keys {', '.join(record)}", what="annotation")
    frame = yield from _frame(image, [*said["grounding"], *said["region"]], upright_wh, orientation, exif)
    if frame is None:
        frame, said["grounding"], said["region"] = Frame(upright_wh), [], []
    for text in parse_grounded_caption(image, f"#caption/{image['id']}", said["grounding"], frame.wh, source):
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
