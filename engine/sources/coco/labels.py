"""A COCO json as an index of labels: what its records and annotations say of one image."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fld_engine.engine.sources.authors import Author, Authors
from fld_engine.engine.sources.coco.annotations import parse_caption, parse_label, parse_region, parse_scene_text
from fld_engine.engine.sources.coco.groundings import parse_grounded_caption
from fld_engine.engine.sources.coco.index import CocoIndex
from fld_engine.engine.sources.coco.unkept import unkept
from fld_engine.engine.sources.item import PassedOver, Rejected
from fld_engine.engine.sources.labelled import Problem, Said
from fld_engine.engine.sources.regions.frames import Exif, Frame, framed
from fld_engine.engine.sources.regions.place import Record, short
from fld_engine.engine.sources.texts import clean_text
from fld_engine.engine.sources.values import wh_of
from fld_engine.schemas.annotations import Absence, Label, Region, Text

Form = Literal["caption", "grounding", "region", "label"]
Place = tuple[str, Record, Author]
"""URI, annotation, and who made it."""


@dataclass(frozen=True, slots=True)
class CocoLabels:
    """`exif` says of which picture the places of a json are, where nothing else does; `made_by` who made them."""

    index: CocoIndex
    exif: Exif
    made_by: str

    @property
    def revision(self) -> str:
        return self.index.revision

    @property
    def names(self) -> Collection[str]:
        return self.index.images.keys()

    @property
    def problems(self) -> Sequence[Problem]:
        return self.index.problems

    def licence(self, name: str) -> str:
        keys = (image["fld_key"] for image in self.index.images[name])
        return next((self.index.licences[key] for key in keys if key in self.index.licences), "")

    def count(self, name: str) -> int:
        return sum(
            len(self.index.annotations.get(image["fld_key"], ()))
            + ("caption" in image)
            + sum(len(_list(image, field)) for field in ("sentences", "neg_category_ids", "fld_labels", "fld_absences"))
            for image in self.index.images.get(name, ())
        )

    def said(self, name: str, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        for image in self.index.images[name]:
            yield from self._of_classes(image)
            yield from self._of_annotations(image, upright_wh, orientation)
            key = image["fld_key"]
            yield from unkept(self.index.annotations.get(key, ()), f"#annotations of {key}")

    @property
    def _authors(self) -> Authors:
        return Authors(self.index.revision, self.made_by, self.index.is_ours)

    def _of_classes(self, image: Record) -> Iterator[Said]:
        """What the record of an image itself says is on it, and is not."""
        uri = f"#image/{image['fld_key']}"
        by = self._authors.of({})
        for told in _list(image, "neg_category_ids"):  # LVIS
            if name := self.index.categories.of(told):
                yield Absence(label=name, score=1.0, source=by.source)
            else:
                detail = f"neg_category_ids has {short(told)}, which is not in categories"
                yield Rejected(uri=uri, reason="dangling_id", detail=detail, what="annotation")
        if number := len(_list(image, "not_exhaustive_category_ids")):
            detail = "categories of which LVIS says that not all objects are marked"
            yield PassedOver(uri=uri, reason="not_exhaustive", detail=detail, what="annotation", number=number)
        kinds: tuple[tuple[str, type[Label] | type[Absence]], ...] = (("fld_labels", Label), ("fld_absences", Absence))
        for field, kind in kinds:
            for one in _list(image, field):
                label = clean_text(one["label"]) if isinstance(one, dict) and isinstance(one.get("label"), str) else ""
                try:
                    maker = self._authors.part(one, by)
                except (ValueError, OverflowError) as error:
                    yield Rejected(uri=uri, reason="bad_score", detail=str(error), what="annotation")
                    continue
                if label:
                    yield kind(label=label, score=maker.score, source=maker.source)
                else:
                    yield PassedOver(uri=uri, reason="form_not_read", detail=short(one), what="annotation")
        for sentence in _list(image, "sentences"):  # Karpathy's splits
            yield from parse_caption({"caption": sentence}, uri, by)

    def _of_annotations(self, image: Record, upright_wh: tuple[int, int], orientation: int) -> Iterator[Said]:
        """What the annotations of a record say; no places where it cannot be told what they are of."""
        said: dict[Form, list[Place]] = {"caption": [], "grounding": [], "region": [], "label": []}
        for record in self.index.annotations.get(image["fld_key"], ()):
            yield from self._sort(record, said)
        places = [(uri, record) for form in ("grounding", "region") for uri, record, _ in said[form]]
        stated_wh = wh_of(image.get("width"), image.get("height"))
        frame = yield from framed(places, stated_wh, upright_wh, orientation, self.exif)
        if frame is None:
            frame, said["grounding"], said["region"] = Frame(upright_wh), [], []
        uri, by = f"#caption/{image['fld_key']}", self._authors.of({})
        grounded = [(place, record) for place, record, _ in said["grounding"]]
        for text in parse_grounded_caption(image, uri, grounded, frame.wh, by):
            yield frame.text(text) if isinstance(text, Text) else text
        if image.get("caption") is not None and not isinstance(image["caption"], str) and not grounded:
            yield from parse_caption(image, uri, by)
        for place, record, author in said["caption"]:
            yield from parse_caption(record, place, author)
        for place, record, author in said["label"]:
            yield from parse_label(record, place, self.index.categories, author)
        for place, record, author in said["region"]:
            found: Iterator[Region | Rejected | PassedOver]
            if _is_scene_text(record):
                found = parse_scene_text(record, place, frame.wh, author)
            else:
                found = parse_region(record, place, frame.wh, self.index.categories, author, self._authors)
            for one in found:
                yield frame.region(one) if isinstance(one, Region) else one

    def _sort(self, record: Record, said: dict[Form, list[Place]]) -> Iterator[Said]:
        """Put an annotation where its form belongs; what of it is not read, and why."""
        uri = f"#annotation/{record.get('id')}"
        try:
            author = self._authors.of(record)
        except (ValueError, OverflowError) as error:
            yield Rejected(uri=uri, reason="bad_score", detail=str(error), what="annotation")
            return
        if isinstance(record.get("segments_info"), list):
            segments = [one for one in record["segments_info"] if isinstance(one, dict)]
            for segment in segments:
                form: Form = "label" if self.index.categories.is_stuff(segment) else "region"
                said[form].append((f"#annotation/{segment.get('id')}", segment, author))
            detail = f"masks of segments are in {short(record.get('file_name'))}, which is not read; their boxes are"
            yield PassedOver(uri=uri, reason="form_not_read", detail=detail, what="annotation", number=len(segments))
        elif (kind := _form(record)) is None:
            yield PassedOver(uri=uri, reason="form_not_read", detail=f"keys {', '.join(record)}", what="annotation")
        else:
            said[kind].append((uri, record, author))
        if record.get("keypoints"):
            detail = "keypoints are not read; the box and the mask of their object are"
            yield PassedOver(uri=uri, reason="form_not_read", detail=detail, what="annotation")


def _form(record: Record) -> Form | None:
    if "tokens_positive" in record:
        return "grounding"
    if _is_scene_text(record) or "bbox" in record or record.get("segmentation"):
        return "region"
    if "caption" in record:
        return "caption"
    return "label" if "category_id" in record or isinstance(record.get("category_name"), str) else None


def _is_scene_text(record: Record) -> bool:
    return "utf8_string" in record or "legibility" in record


def _list(record: Record, field: str) -> Sequence[Any]:
    told = record.get(field)
    return told if isinstance(told, list) else ()
