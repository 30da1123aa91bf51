"""Filters of regions: confidence, sure images, suppression of duplicates, votes of detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from fld_engine.engine.data.class_keys import class_keys
from fld_engine.engine.data.columns import boxes_xyxy, codes, equals, floats, one_of
from fld_engine.engine.data.geometry import Bools, Floats, nms_keep
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.things import same_thing
from fld_engine.engine.plan.protocols import Tables, Verdicts
from fld_engine.filters.columns import by_human
from fld_engine.filters.overlap import Overlaps, highest, overlaps
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import name_key


class RegionConfidence:
    """Keeps regions whose score reaches its bound, and those of people; the value is the score.

    The bound is that of the region's class if there is one, else that of its annotator, else that of its kind.
    """

    class Params(Frozen):
        """How sure a model must be of a region."""

        objects: float = Field(default=0.35, ge=0, le=1, description="objects; from where NanoDet's demo shows boxes")
        scene_text: float = Field(default=0.5, ge=0, le=1, description="scene text; RapidOCR's own text_score")
        annotators: Mapping[str, float] = Field(
            default_factory=dict, description="bounds of annotators, whose scores are not comparable; ours: none"
        )
        classes: Mapping[str, float] = Field(
            default_factory=dict, description="bounds of objects by category phrase; ours: none"
        )

    version = 2
    target: ClassVar[str] = "regions"
    of_score: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"regions", "region_texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        bounds = (self.params.objects, *self.params.annotators.values(), *self.params.classes.values())
        self.lowest_score = min(bounds)

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        score = floats(regions, "score")
        is_text = equals(regions["kind"], "text")
        bound = np.where(is_text, self.params.scene_text, self.params.objects)
        for annotator, of_annotator in self.params.annotators.items():
            bound[equals(regions["annotator"], annotator)] = of_annotator
        classes = class_keys(region_classes(regions, tables["region_texts"]))
        for name, of_class in self.params.classes.items():
            bound[equals(classes, name_key(name)) & ~is_text] = of_class
        return Verdicts(keep=(score >= bound) | by_human(regions), value=score, reason="low_confidence")


class RegionSureImage:
    """Keeps objects of `min_score` or more in images that have one of `sure_score` or more.

    OWL-ST's rule (arXiv 2306.09683): a strict bound on every box loses more than it gains. It stands in place of
    `region-confidence`, whose bounds it would otherwise find already applied. The value is the highest score in the
    image where the region reaches `min_score`, its own score where it does not, and NaN for scene text, which passes.
    A region that a person drew passes, and makes its image sure.
    """

    class Params(Frozen):
        """Two bounds: one for the region, one for the best region of its image."""

        min_score: float = Field(default=0.1, ge=0, le=1, description="of a region; OWL-ST")
        sure_score: float = Field(default=0.3, ge=0, le=1, description="of the image's best region; OWL-ST")

    version = 1
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset({"regions"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self.lowest_score = self.params.min_score

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        human, is_object = by_human(regions), equals(regions["kind"], "object")
        score = np.where(human, 1.0, floats(regions, "score"))
        image = codes(regions["image_id"])
        best = np.zeros(len(image), dtype=np.float64)
        np.maximum.at(best, image[is_object], score[is_object])
        value = np.where(score >= self.params.min_score, best[image], score)
        keep = (score >= self.params.min_score) & (best[image] >= self.params.sure_score)
        return Verdicts(
            keep=keep | human | ~is_object, value=np.where(is_object, value, np.nan), reason="no_sure_region"
        )


class RegionNms:
    """Greedy non-maximum suppression within an image, kind and class.

    Regions that people drew come first and never go, also where they overlap each other; a model's region goes where it
    overlaps one of them, or a better one that is kept, by more than `iou`. An object of a model goes, too, where it
    overlaps a person's by `human_iou` or more and their names mean one thing, or one a kind of the other
    (`engine.data.things`). The value is the highest IoU with the kept regions that come before it.
    """

    class Params(Frozen):
        """How much two regions of a class may overlap, and a model's with what a person calls otherwise."""

        iou: float = Field(default=0.6, gt=0, le=1, description="NanoDet's own bound; torchvision's detectors use 0.5")
        human_iou: float = Field(default=0.7, gt=0, le=1, description="two boxes of one thing; ours")

    version = 2
    target: ClassVar[str] = "regions"
    keeps_low: ClassVar[bool] = True
    requires: frozenset[str] = frozenset({"regions", "region_texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        boxes, human = boxes_xyxy(regions), by_human(regions)
        classes = region_classes(regions, tables["region_texts"])
        groups = codes(regions["image_id"], regions["kind"], class_keys(classes))
        rank = np.where(human, np.inf, floats(regions, "score"))
        of_class, on_human = overlaps(boxes, groups), _on_human(regions, classes.to_pylist(), self.params.human_iou)
        close = np.concatenate([of_class.iou > self.params.iou, on_human.iou >= self.params.human_iou])
        pairs = Overlaps(
            np.concatenate([of_class.a, on_human.a]),
            np.concatenate([of_class.b, on_human.b]),
            np.concatenate([of_class.iou, on_human.iou]),
        )
        keep = np.ones(len(human), dtype=bool)
        keep[pairs.a[close & human[pairs.b]]] = False
        contested = np.unique(pairs.a[close])
        contested = contested[keep[contested]]
        keep[contested] = nms_keep(boxes[contested], rank[contested], groups[contested], self.params.iou)
        keep |= human
        value = highest(_with_earlier(pairs, rank, keep), len(keep))
        return Verdicts(keep=keep, value=value, reason="overlaps_better")


class RegionVotes:
    """Keeps an object that enough detectors see, or that its own detector is sure of.

    A detector votes for an object where it sees one of the same class with an IoU of `min_iou` or more, as GranD's
    engine has it (arXiv 2311.03356). A person votes like a detector. The value is the number of votes, the region's own
    included, and NaN where the rule does not apply: scene text and regions of people and of other annotators, which
    pass. The copies of one object that then remain are `region-nms`'s to suppress.
    """

    class Params(Frozen):
        """Who votes, and how many must agree how well."""

        detectors: tuple[str, ...] = Field(
            default=(), description="annotators that vote, two or more; empty: all that see objects"
        )
        min_votes: int = Field(default=2, ge=2, description="ours: a second opinion")
        min_iou: float = Field(default=0.5, gt=0, le=1, description="the bound of a match in PASCAL VOC")
        sure_score: float = Field(default=0.6, ge=0, le=1, description="ours: enough without a second opinion")

        @model_validator(mode="after")
        def _can_be_reached(self) -> Self:
            if self.detectors and len(set(self.detectors)) < self.min_votes:
                raise ValueError(
                    f"{len(set(self.detectors))} detectors cannot give {self.min_votes} votes: name as many or more, "
                    "or none for all that see objects"
                )
            return self

    version = 2
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset({"regions", "region_texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        human, detectors = by_human(regions), self.params.detectors
        voter = equals(regions["kind"], "object")
        if detectors:
            voter &= one_of(regions["annotator"], detectors) | human
        judged = voter & ~human
        groups = codes(regions["image_id"], class_keys(region_classes(regions, tables["region_texts"])))
        author = codes(regions["annotator"])
        pairs = overlaps(boxes_xyxy(regions), groups)
        agrees = voter[pairs.b] & (author[pairs.a] != author[pairs.b]) & (pairs.iou >= self.params.min_iou)
        ballots = np.unique(np.stack([pairs.a[agrees], author[pairs.b[agrees]]]), axis=1)
        votes = 1 + np.bincount(ballots[0], minlength=len(author))
        agreed = (votes >= self.params.min_votes) | (floats(regions, "score") >= self.params.sure_score)
        return Verdicts(keep=agreed | ~judged, value=np.where(judged, votes, np.nan), reason="outvoted")


def _on_human(regions: pa.Table, classes: Sequence[str], iou: float) -> Overlaps:
    """Objects of models with people's objects that are the same thing, or a kind of it, and overlap them by `iou`."""
    human, is_object = by_human(regions), equals(regions["kind"], "object")
    image = codes(regions["image_id"])
    rows = np.flatnonzero(is_object & np.isin(image, image[human & is_object]))
    found = overlaps(boxes_xyxy(regions)[rows], image[rows])
    pairs = Overlaps(rows[found.a], rows[found.b], found.iou)
    kept = ~human[pairs.a] & human[pairs.b] & (pairs.iou >= iou)
    kept[kept] = [
        same_thing(classes[a], classes[b]) for a, b in zip(pairs.a[kept].tolist(), pairs.b[kept].tolist(), strict=True)
    ]
    return Overlaps(pairs.a[kept], pairs.b[kept], pairs.iou[kept])


def _with_earlier(pairs: Overlaps, rank: Floats, keep: Bools) -> Overlaps:
    """The pairs of each row with kept rows that NMS visits before it: of higher rank, or equal and earlier."""
    higher, equal = rank[pairs.b] > rank[pairs.a], rank[pairs.b] == rank[pairs.a]
    counts = keep[pairs.b] & (higher | (equal & (pairs.b < pairs.a)))
    return Overlaps(*(column[counts] for column in pairs))
