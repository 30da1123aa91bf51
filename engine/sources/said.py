"""What is said of one image beside its bytes, gathered from wherever a source has it: texts and records of fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fld_engine.engine.data.images import ANY_IMAGE, upright_frame
from fld_engine.engine.sources.authors import PEOPLE
from fld_engine.engine.sources.captions import caption_names, in_value, values_at
from fld_engine.engine.sources.item import PassedOver, Rejected, web_captions
from fld_engine.engine.sources.objects import OBJECT_NAMES, class_name, has_boxes, objects_of, regions_of
from fld_engine.engine.sources.spans import SPAN_NAMES, phrases_of
from fld_engine.schemas.annotations import Annotations, Label, Phrase, Region
from fld_engine.schemas.errors import UnreadableImage

LABEL_NAMES = ("label", "labels", "class", "class_name", "category")
"""Names under which a record has the class of its image; that somebody wrote it there makes it a person's."""
MAX_LABEL_CHARS = 200


@dataclass(slots=True)
class Reading:
    """How the records of a source are read: names or paths of captions (none: the usual ones), names of classes.

    `classes` are names in the order of their numbers, by path, as in `objects.category`.
    """

    captions: Sequence[str] = ()
    classes: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass
class Said:
    """What is said of the image at `uri`, whose bytes are `data`. Order is that of the calls."""

    uri: str
    data: bytes
    captions: list[object] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    labels: dict[str, Label] = field(default_factory=dict)
    phrases: dict[str, list[Phrase]] = field(default_factory=dict)
    others: list[Rejected | PassedOver] = field(default_factory=list)

    @cached_property
    def upright_wh(self) -> tuple[int, int] | None:
        """Width and height of the upright image; `None` where it cannot be read, and will be rejected whole."""
        try:
            return upright_frame(self.data, ANY_IMAGE)[0]
        except UnreadableImage:
            return None

    def add_record(self, record: Mapping[str, Any], place: str, reading: Reading, ignored: Iterable[str] = ()) -> None:
        """What the fields of a record say; fields that say nothing known are counted, but for the `ignored` ones."""
        used = self._captions(record, place, reading)
        used |= self._places(record, place, reading.classes)
        used |= self._labels(record, place, reading.classes)
        left = [str(name) for name in record if name not in used and name not in ignored]
        if not left:
            return
        reason = "not_kept" if used else "form_not_read"
        number = len(left) if used else 1
        detail = f"keys {', '.join(left)}"[:300]
        self.others.append(
            PassedOver(uri=place, reason=reason, detail=detail, what="annotation", by="web", number=number)
        )

    def annotations(self) -> Annotations:
        """Everything, captions as texts from the web; what is wrong with them comes to `others`."""
        found, others = web_captions((None if _is_number(one) else one for one in self.captions), self.uri)
        self.others += others
        if number := sum(map(_is_number, self.captions)):
            detail = "numbers, and no word: labels of YOLO are a source of their own kind"
            self.others.append(
                PassedOver(
                    uri=self.uri, reason="form_not_read", detail=detail, what="annotation", by="web", number=number
                )
            )
        texts = [
            text.model_copy(update={"phrases": tuple(self.phrases[text.text])}) if text.text in self.phrases else text
            for text in found.texts
        ]
        return Annotations(texts=tuple(texts), regions=tuple(self.regions), labels=tuple(self.labels.values()))

    def others_of_image(self) -> Iterator[Rejected | PassedOver]:
        """What becomes no annotation, each with the image that it is about."""
        for one in self.others:
            yield one if one.uri == self.uri else one.model_copy(update={"of_image": self.uri})

    def _captions(self, record: Mapping[str, Any], place: str, reading: Reading) -> set[str]:
        if reading.captions:
            for path in reading.captions:
                self.captions += [text for value in values_at(record, path) for text in in_value(value)]
            return {name for path in reading.captions for name in (path, path.partition(".")[0]) if name in record}
        names = caption_names(map(str, record), others=not self.captions)
        for name in names:
            self.captions += in_value(record[name])
        return set(names)

    def _places(self, record: Mapping[str, Any], place: str, classes: Mapping[str, Sequence[str]]) -> set[str]:
        used: set[str] = set()
        spans = [name for name in SPAN_NAMES if name in record]
        if spans and isinstance(record.get("caption"), str) and self.upright_wh:
            text, phrases, rejected = phrases_of(record, place, self.upright_wh)
            self.phrases.setdefault(text, []).extend(phrases)
            self.others += rejected
            used.update(spans)
        for name in OBJECT_NAMES if self.upright_wh else ():
            found = objects_of(record.get(name))
            if found is not None:
                inside = {path.removeprefix(f"{name}."): names for path, names in classes.items()}
                self._add(regions_of(found, f"{place}/{name}", self.upright_wh or (0, 0), inside))
                used.add(name)
        if not used and has_boxes(record) and (found := objects_of(record)) and self.upright_wh:
            self._add(regions_of(found, f"{place}/objects", self.upright_wh, classes))
            used.update(found[0])
        return used

    def _add(self, found: Iterable[Region | Rejected | PassedOver]) -> None:
        for one in found:
            if isinstance(one, Region):
                self.regions.append(one)
            else:
                self.others.append(one)

    def _labels(self, record: Mapping[str, Any], place: str, classes: Mapping[str, Sequence[str]]) -> set[str]:
        used: set[str] = set()
        for name in LABEL_NAMES:
            value = record.get(name)
            values = value if isinstance(value, list) else [value]
            values = [one for one in values if isinstance(one, int | str) and not isinstance(one, bool) and one != ""]
            if not values or len(values) != len(value if isinstance(value, list) else [value]):
                continue
            used.add(name)
            for one in values:
                label = class_name(one, classes.get(name, ()))
                if label is None or len(label) > MAX_LABEL_CHARS:
                    detail = f"{name} {one!r}"[:100]
                    reason = "class_without_name" if label is None else "label_too_long"
                    self.others.append(PassedOver(uri=place, reason=reason, detail=detail, what="annotation"))
                else:
                    self.labels.setdefault(label, Label(label=label, score=1.0, source=PEOPLE))
        return used


def _is_number(caption: object) -> bool:
    """Whether a text is numbers without any word, such as the boxes of YOLO beside a picture."""
    if not isinstance(caption, str):
        return False
    return any(map(str.isdigit, caption)) and not any(map(str.isalpha, caption))
