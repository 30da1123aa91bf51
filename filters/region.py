"""Filters of regions: confidence, sure images, NMS, agreement of detectors. Human regions pass all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from pydantic import Field

from engine.geometry import Floats, nms_keep, pairwise_iou
from engine.protocols import Tables, Verdicts
from filters.columns import boxes_xyxy, by_human, classes, codes, floats, strings
from schemas.annotations import Frozen


class RegionConfidence:
    """Keeps regions whose score reaches the bound of their annotator, their class or their kind, in this order."""

    class Params(Frozen):
        objects: float = Field(
            default=0.35, ge=0, le=1, description="NanoDet's own demo bound; 20 of 28 VOC boxes found"
        )
        scene_text: float = Field(default=0.6, ge=0, le=1, description="ours; RapidOCR itself drops text below 0.5")
        classes: Mapping[str, float] = Field(default_factory=dict, description="bounds of single classes")
        annotators: Mapping[str, float] = Field(default_factory=dict, description="bounds of single annotators")

    version = 1
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset({"region_texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        value = floats(regions, "score")
        bound = np.where(strings(regions, "kind") == "text", self.params.scene_text, self.params.objects)
        if self.params.classes:
            names = np.array(classes(regions, tables["region_texts"]), dtype=str)
            for name, special in self.params.classes.items():
                bound[names == name] = special
        for name, special in self.params.annotators.items():
            bound[strings(regions, "annotator") == name] = special
        return Verdicts(keep=(value >= bound) | by_human(regions), value=value, reason="low_confidence")


class RegionSureImage:
    """Keeps objects from `min_score` up, but only in images that have one of `sure_score` or more.

    OWL-ST's rule (Minderer et al. 2023): too strict a bound on every box loses more than it gains. Use it in place of
    `region-confidence`.
    """

    class Params(Frozen):
        min_score: float = Field(default=0.1, ge=0, le=1, description="OWL-ST")
        sure_score: float = Field(default=0.3, ge=0, le=1, description="OWL-ST")

    version = 1
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset()

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        score = floats(regions, "score")
        is_object = strings(regions, "kind") == "object"
        image = codes(strings(regions, "image_id"))
        best = np.zeros(image.max() + 1 if len(image) else 0)
        np.maximum.at(best, image[is_object], score[is_object])
        sure = best[image] >= self.params.sure_score
        keep = ((score >= self.params.min_score) & sure) | ~is_object | by_human(regions)
        return Verdicts(keep=keep, value=best[image], reason="no_sure_box")


class RegionNms:
    """Class-aware non-maximum suppression within an image and a kind; the value is the region's score."""

    class Params(Frozen):
        iou: float = Field(default=0.6, gt=0, le=1, description="NanoDet's own NMS bound")

    version = 1
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset({"region_texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        score = floats(regions, "score")
        human = by_human(regions)
        names = np.array(classes(regions, tables["region_texts"]), dtype=str)
        groups = codes(strings(regions, "image_id"), strings(regions, "kind"), names)
        rank: Floats = score + 2.0 * human  # what people drew is never suppressed by a model's box
        keep = nms_keep(boxes_xyxy(regions), rank, groups, self.params.iou)
        return Verdicts(keep=keep | human, value=score, reason="overlaps_better")


class RegionAgreement:
    """Keeps a detector's region when another detector has one of the same class there, or when it is sure itself.

    The value is the best IoU with a region of the same class by another of `detectors`. Regions of annotators that are
    not named, scene text among them, pass.
    """

    class Params(Frozen):
        detectors: tuple[str, ...] = Field(default=(), description="annotator names; at least two, to have any effect")
        min_iou: float = Field(default=0.5, ge=0, le=1, description="the usual bound of a match (VOC)")
        sure_score: float = Field(default=0.6, ge=0, le=1, description="ours: enough without a second opinion")

    version = 1
    target: ClassVar[str] = "regions"
    requires: frozenset[str] = frozenset({"region_texts"})

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()

    def decide(self, tables: Tables) -> Verdicts:
        regions = tables["regions"]
        author = strings(regions, "annotator")
        judged = np.isin(author, self.params.detectors)
        names = np.array(classes(regions, tables["region_texts"]), dtype=str)
        groups = codes(strings(regions, "image_id"), names)
        boxes = boxes_xyxy(regions)
        value = np.full(regions.num_rows, np.nan)
        value[judged] = 0.0
        for group in np.unique(groups[judged]):
            rows = np.flatnonzero(judged & (groups == group))
            iou = pairwise_iou(boxes[rows], boxes[rows])
            iou[author[rows][:, None] == author[rows][None, :]] = 0.0
            value[rows] = iou.max(axis=1)
        agreed = np.nan_to_num(value) >= self.params.min_iou
        keep = ~judged | agreed | (floats(regions, "score") >= self.params.sure_score)
        return Verdicts(keep=keep, value=value, reason="no_agreement")
