"""What is known of a picture, as facts that sentences can state: things with counts, places and relations, and text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from pydantic import Field

from fld_engine.annotators.composed.classes import absent_names, by_people, classes_of
from fld_engine.annotators.composed.english import common_name, quotable
from fld_engine.annotators.composed.lexicon import PORTABLE, SETTINGS, SURFACES, is_kind_of
from fld_engine.engine.data.geometry import nms_keep
from fld_engine.schemas.annotations import Annotations, Box, Frozen, Label, Region
from fld_engine.schemas.names import name_key

Relation = Literal["on", "next to", "in front of", "above", "below"]

SMALL_SHARE, LARGE_SHARE, MOST_SHARE = 0.02, 0.25, 0.5
"""Shares of the picture's area from which a thing counts as not small, large, and most of the picture (ours)."""

UPRIGHT_ASPECT = 2.2
"""Height by width from which a person stands (ours): seated people are at most about twice as high as wide."""
EDGE_SHARE = 0.02
"""Nearer to an edge than this share of the picture's side, a box reaches it (ours)."""


class SceneParams(Frozen):
    """Which facts are sure enough to be stated; all thresholds are ours."""

    min_object_score: float = Field(default=0.4, ge=0, le=1, description="detections below are not mentioned")
    min_label_score: float = Field(default=0.3, ge=0, le=1, description="classes of the image below are not mentioned")
    min_kind_score: float = Field(
        default=0.15, ge=0, le=1, description="classes below do not name the kind of a detected thing (tabby cat)"
    )
    min_read_score: float = Field(default=0.7, ge=0, le=1, description="read text below is not quoted")
    same_thing_iou: float = Field(
        default=0.6, gt=0, le=1, description="detections of different classes that overlap more are one thing"
    )


@dataclass(frozen=True, slots=True)
class Thing:
    """All instances of one class. `boxes` are fractions of the picture, x1 y1 x2 y2, largest first.

    `noun` is the name it gets, `category` its detector class. A class of the whole image has no boxes. `is_upright`
    tells that the largest instance is slim and not cut off by the lower edge, so that a person stands.
    """

    noun: str
    category: str
    score: float
    boxes: tuple[Box, ...] = ()
    is_upright: bool = False

    @property
    def count(self) -> int:
        return max(1, len(self.boxes))

    @property
    def share(self) -> float:
        """Area of its largest instance as a share of the picture; 0 without a box."""
        return _area(self.boxes[0]) if self.boxes else 0.0


@dataclass(frozen=True, slots=True)
class ReadText:
    text: str
    score: float
    box: Box


@dataclass(frozen=True, slots=True)
class Scene:
    """`things` by falling prominence, `setting` such as "on a beach" or empty, `read` in reading order."""

    things: tuple[Thing, ...]
    setting: str
    setting_score: float
    read: tuple[ReadText, ...]


def scene_of(known: Annotations, image_wh: tuple[int, int], params: SceneParams) -> Scene:
    """The facts in labels, object regions and text regions of one image that are sure enough."""
    labels, absent = classes_of(known), absent_names(known)
    objects = [
        region
        for region in known.regions
        if region.kind == "object" and region.texts and region.score >= params.min_object_score
        if by_people(region) or name_key(common_name(_category(region))) not in absent
    ]
    objects = _one_per_thing(objects, labels, params.same_thing_iou)
    things = list(_things(objects, labels, image_wh, params))
    setting, setting_score = "", 0.0
    if labels and (by_people(labels[0]) or labels[0].score >= params.min_label_score):
        name, score = common_name(labels[0].label), labels[0].score
        if things and name in SETTINGS:
            setting, setting_score = SETTINGS[name], score
        elif name and all(_is_unnamed(thing) and not is_kind_of(name, thing.category) for thing in things):
            things.append(Thing(name, name, score))
    things.sort(key=lambda thing: (-thing.score * (thing.share or LARGE_SHARE), thing.noun))
    return Scene(tuple(things), setting, setting_score, tuple(_read(known.regions, image_wh, params)))


def relation(a: Thing, b: Thing) -> Relation | None:
    """How the largest instance of `a` lies to that of `b`, where their boxes leave no doubt.

    On: a portable thing whose foot is inside the box of a surface. Next to: side by side, no further apart than half
    the narrower one is wide. In front of: both overlap, and `a`, not the larger one, stands lower in the picture.
    Above, below: one over the other without overlap. All limits are ours.
    """
    if not a.boxes or not b.boxes:
        return None
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a.boxes[0], b.boxes[0]
    across = _overlap((ax1, ax2), (bx1, bx2))
    down = _overlap((ay1, ay2), (by1, by2))
    if a.category in PORTABLE and b.category in SURFACES:
        return "on" if across > 0.8 and by1 < ay2 < by2 and a.share < b.share else None
    if across <= 0.1 and down >= 0.5:
        apart = max(ax1, bx1) - min(ax2, bx2)
        return "next to" if apart <= 0.5 * min(ax2 - ax1, bx2 - bx1) else None
    if across >= 0.5 and down <= 0.0:
        return "above" if ay2 <= by1 else "below"
    if across >= 0.3 and down >= 0.3 and a.share <= b.share and ay2 > by2 + 0.03:
        return "in front of"
    return None


def _one_per_thing(objects: Sequence[Region], labels: Sequence[Label], iou: float) -> list[Region]:
    """Objects by falling score, without those that lie on a better one; a class that a label supports is better."""
    support = [
        r.score + sum(label.score for label in labels if is_kind_of(common_name(label.label), _category(r)))
        for r in objects
    ]
    boxes = np.array([r.box_xyxy for r in objects], dtype=np.float64).reshape(-1, 4)
    keep = nms_keep(boxes, np.array(support, dtype=np.float64), np.zeros(len(objects), dtype=np.int64), iou)
    return [region for region, kept in zip(objects, keep, strict=True) if kept]


def _things(
    objects: Sequence[Region], labels: Sequence[Label], image_wh: tuple[int, int], params: SceneParams
) -> Iterator[Thing]:
    by_category: dict[str, list[Region]] = {}
    for region in objects:
        by_category.setdefault(_category(region), []).append(region)
    for category, regions in by_category.items():
        boxes = sorted((_fractions(region.box_xyxy, image_wh) for region in regions), key=lambda b: (-_area(b), b))
        upright = _is_upright(boxes[0], image_wh)
        scores = [region.score for region in regions]
        noun = common_name(category)
        kinds = (label for label in labels if by_people(label) or label.score >= params.min_kind_score)
        kind = next((label for label in kinds if is_kind_of(common_name(label.label), category)), None)
        if kind is not None and len(regions) == 1:
            noun = common_name(kind.label)
            scores.append(kind.score)
        if noun:
            yield Thing(noun, category, fmean(scores), tuple(boxes), upright)


def _read(regions: Iterable[Region], image_wh: tuple[int, int], params: SceneParams) -> Iterator[ReadText]:
    for region in regions:
        text = quotable(region.texts[0].text) if region.kind == "text" and region.texts else ""
        if text and region.score >= params.min_read_score:
            yield ReadText(text, region.score, _fractions(region.box_xyxy, image_wh))


def _category(region: Region) -> str:
    return region.texts[0].text


def _is_unnamed(thing: Thing) -> bool:
    """Whether no class of the image has named its kind."""
    return thing.noun == common_name(thing.category)


def _is_upright(box: Box, image_wh: tuple[int, int]) -> bool:
    x1, y1, x2, y2 = box
    return (y2 - y1) * image_wh[1] >= UPRIGHT_ASPECT * (x2 - x1) * image_wh[0] and y2 < 1 - EDGE_SHARE


def _fractions(box_xyxy: Box, image_wh: tuple[int, int]) -> Box:
    width, height = image_wh
    x1, y1, x2, y2 = box_xyxy
    return x1 / width, y1 / height, x2 / width, y2 / height


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Common length of two intervals as a share of the shorter one; negative where they are apart."""
    return (min(a[1], b[1]) - max(a[0], b[0])) / min(a[1] - a[0], b[1] - b[0])
