"""What annotators return and what they are shown: the annotation types of the three FLD-5B families.

Conventions, everywhere: boxes are pixels `x1 y1 x2 y2` of the upright decoded image; quadrilaterals are four corners
clockwise from the top left; masks are COCO-style polygons `[x1 y1 x2 y2 …]`; spans are `[start, end)` characters.
Coordinates are rounded to 0.01 px and scores to 1e-4 when they are built, so that stored and live values are the same.

An annotator leaves `id` and `source` empty; the engine fills both when it stores the annotation.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Granularity = Literal["brief", "detailed", "more_detailed"]
RegionKind = Literal["object", "text"]
RegionTextKind = Literal["phrase", "brief", "chunk", "ocr"]
Question = Literal["holds", "complete", "placed"]
Status = Literal["done", "failed", "not_run"]
GRANULARITIES: tuple[Granularity, ...] = get_args(Granularity)
REGION_TEXT_KINDS: tuple[RegionTextKind, ...] = get_args(RegionTextKind)


def _finite(value: float, digits: int) -> float:
    if not math.isfinite(value):
        raise ValueError(f"expected a finite number, got {value}")
    return round(float(value), digits) + 0.0  # + 0.0 turns -0.0 into 0.0


def _pixel(value: float) -> float:
    return _finite(value, 2)


def _score(value: float) -> float:
    return _finite(value, 4)


Pixel = Annotated[float, AfterValidator(_pixel)]
Score = Annotated[float, AfterValidator(_score)]
BoxXYXY = tuple[Pixel, Pixel, Pixel, Pixel]
Quad = tuple[Pixel, Pixel, Pixel, Pixel, Pixel, Pixel, Pixel, Pixel]
Polygon = tuple[Pixel, ...]


def _ordered(box_xyxy: BoxXYXY) -> BoxXYXY:
    x1, y1, x2, y2 = box_xyxy
    if x2 <= x1 or y2 <= y1:
        raise ValueError(f"box {box_xyxy} is empty: expected x1 < x2 and y1 < y2 after rounding to 0.01 px")
    return box_xyxy


Box = Annotated[BoxXYXY, AfterValidator(_ordered)]


def _closed(polygons: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
    for polygon in polygons:
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(f"a polygon needs at least three x y pairs, got {len(polygon)} numbers")
    return polygons


Polygons = Annotated[tuple[Polygon, ...], AfterValidator(_closed)]


class Frozen(BaseModel):
    """Base of every type that crosses a process or a file boundary."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Frozen):
    """Who made an annotation. `round` is 0 for the initial annotation."""

    annotator: str
    model: str
    revision: str
    round: int = 0


class _Annotation(Frozen):
    id: str = ""
    source: Source | None = None


class RegionText(_Annotation):
    """One candidate text of a region; `region_id` stays empty inside a new `Region`."""

    region_id: str = ""
    kind: RegionTextKind
    text: str = Field(min_length=1)
    score: Score


class Mask(_Annotation):
    """Polygons of a region or a phrase region (`subject_id`; empty inside a new one)."""

    subject_id: str = ""
    polygons: Polygons = Field(min_length=1)
    score: Score


class Similarity(_Annotation):
    """How well a text, `subject_id`, fits its image, or a region text its region: cosine in [-1, 1]."""

    subject_id: str
    score: Score


class Check(_Annotation):
    """A second look at an annotation: the probability in [0, 1] that the answer to a question is yes.

    `holds`: does the label of a region, or a text, `subject_id`, hold? `complete`: is everything that a phrase,
    `subject_id`, refers to among its boxes? `placed`: is there something where a region, `subject_id`, is?
    """

    subject_id: str
    question: Question
    score: Score


class Region(_Annotation):
    """A box on the image with its texts; scene text (`kind="text"`) also has a quadrilateral."""

    kind: RegionKind
    box_xyxy: Box
    quad: Quad | None = None
    score: Score
    texts: tuple[RegionText, ...] = ()
    masks: tuple[Mask, ...] = ()


class PhraseRegion(_Annotation):
    """A box a phrase is grounded on. `region_id` names the region it was matched to, if it was matched to one."""

    box_xyxy: Box
    score: Score
    region_id: str = ""
    masks: tuple[Mask, ...] = ()


class Phrase(_Annotation):
    """A noun phrase of a text with the boxes it refers to; `text_id` stays empty inside a new `Text`.

    `derived` marks a grounding of a composed text on the detections it was composed from: it agrees by construction,
    so no agreement figure may count it.
    """

    text_id: str = ""
    phrase: str = Field(min_length=1)
    start: int = Field(ge=0)
    end: int = Field(gt=0)
    score: Score
    derived: bool = False
    regions: tuple[PhraseRegion, ...] = ()


class Text(_Annotation):
    """One description of the whole image. `composed` texts were written from other annotations by rule.

    `phrases` are those that whoever wrote the text has grounded in it.
    """

    granularity: Granularity
    text: str = Field(min_length=1)
    score: Score
    composed: bool = False
    phrases: tuple[Phrase, ...] = ()


class Token(Frozen):
    """One token of a parsed text, Universal Dependencies as spaCy gives them.

    `text_id` names a `Text` or a `RegionText`; `head` is the index of the governing token (its own index at the root);
    `chunk` is the ordinal of the base noun phrase it belongs to, or -1.
    """

    text_id: str
    index: int
    start: int
    end: int
    text: str
    lemma: str
    pos: str
    tag: str
    dep: str
    head: int
    chunk: int = -1


class Label(_Annotation):
    """A class of the whole image, best first."""

    label: str = Field(min_length=1)
    score: Score


class Absence(_Annotation):
    """A class that whoever looked for it did not find on the image: LVIS's negatives, Open Images' verified absences.

    `score` is how sure that is said, 1 where it is not told.
    """

    label: str = Field(min_length=1)
    score: Score


class Annotations(Frozen):
    """Everything one annotator says about one image, or everything already known about it.

    `absences` are left out of a dump where there are none, as rows of roots that know none are compared with new ones.
    """

    texts: tuple[Text, ...] = ()
    regions: tuple[Region, ...] = ()
    region_texts: tuple[RegionText, ...] = ()
    masks: tuple[Mask, ...] = ()
    similarities: tuple[Similarity, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    tokens: tuple[Token, ...] = ()
    labels: tuple[Label, ...] = ()
    checks: tuple[Check, ...] = ()
    absences: tuple[Absence, ...] = Field(default=(), exclude_if=lambda given: not given)
