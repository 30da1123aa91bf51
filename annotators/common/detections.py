"""What every detector shares: its parameters, and boxes with class scores made into regions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.annotators.common.coco_classes import COCO_CLASSES
from fld_engine.engine.data.geometry import Floats, Ints, clip_boxes, nms_keep
from fld_engine.schemas.annotations import Frozen, Region, RegionText


class DetectorParams(Frozen):
    """What a score-first detector writes at all; the strict thresholds are filters. All three limits are ours.

    Class scores of neighbouring cells are copies of one detection, so that a loose suppression is part of decoding.
    """

    min_score: float = Field(default=0.2, ge=0, le=1, description="lowest class score that is written")
    nms_iou: float = Field(default=0.7, gt=0, le=1, description="overlap within a class above which the weaker goes")
    max_regions: int = Field(default=100, gt=0, description="regions per image at most; COCO evaluates 100")


COCO_PHRASES = dict(enumerate(COCO_CLASSES))


def cells_above(class_scores: npt.NDArray[np.float32], min_score: float) -> tuple[Ints, Ints, Floats]:
    """Cell number, class number and score of every entry of (cells, classes) that is at least `min_score`."""
    cells, classes = np.nonzero(class_scores >= min_score)
    return cells, classes, class_scores[cells, classes].astype(np.float64)


def object_regions(
    boxes_xyxy: Floats,
    scores: Floats,
    classes: Ints,
    image_wh: tuple[int, int],
    params: DetectorParams,
    phrases: Mapping[int, str] = COCO_PHRASES,
) -> tuple[Region, ...]:
    """Regions by falling score, ties by box and then by class, of (n, 4) pixel boxes that may leave the frame.

    `phrases` says what each class number is called.

    Boxes are clipped to the frame and rounded to the 0.01 px that are stored; what is empty then is left out.
    """
    boxes = np.round(clip_boxes(boxes_xyxy, image_wh), 2)
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    boxes, scores, classes = boxes[solid], scores[solid], classes[solid]
    order = np.lexsort((classes, *boxes.T[::-1], -scores))
    boxes, scores, classes = boxes[order], scores[order], classes[order]
    best = np.flatnonzero(nms_keep(boxes, scores, classes, params.nms_iou))[: params.max_regions]
    return tuple(_region(boxes[i], float(scores[i]), phrases[int(classes[i])]) for i in best)


def _region(box_xyxy: Floats, score: float, phrase: str) -> Region:
    x1, y1, x2, y2 = (float(value) for value in box_xyxy)
    text = RegionText(kind="phrase", text=phrase, score=score)
    return Region(kind="object", box_xyxy=(x1, y1, x2, y2), score=score, texts=(text,))
