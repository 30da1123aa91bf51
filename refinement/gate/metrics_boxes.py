"""How well boxes agree with gold: precision, recall and F1 at an IoU, average precision, phrase-grounding recall."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.refinement.labels.boxes import Boxes, Grounded
from fld_engine.refinement.labels.matching import match_boxes, same_labels
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import name_key

IOUS = (0.5, 0.75)
"""The two bounds that detection papers print: found at all, and found tightly."""


class Counts(Frozen):
    """Matches of one image, or of many when added: the sums that precision and recall are made of."""

    matched: int = 0
    predicted: int = 0
    gold: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            matched=self.matched + other.matched,
            predicted=self.predicted + other.predicted,
            gold=self.gold + other.gold,
        )

    @property
    def precision(self) -> float:
        """1 where nothing was predicted: nothing said is nothing wrong."""
        return self.matched / self.predicted if self.predicted else 1.0

    @property
    def recall(self) -> float:
        return self.matched / self.gold if self.gold else 1.0

    @property
    def f1(self) -> float:
        total = self.predicted + self.gold
        return 2 * self.matched / total if total else 1.0


def count_matches(predicted: Boxes, gold: Boxes, *, min_iou: float, with_labels: bool = True) -> Counts:
    """Boxes of one image that match gold one to one at `min_iou`, with the same label unless told otherwise."""
    same = same_labels(predicted.labels, gold.labels) if with_labels else None
    matches = match_boxes(predicted.xyxy, gold.xyxy, min_iou=min_iou, same=same)
    return Counts(matched=len(matches.a), predicted=len(predicted.labels), gold=len(gold.labels))


def average_precision(predicted: Sequence[Boxes], gold: Sequence[Boxes]) -> dict[str, float]:
    """COCO average precision over images, by pycocotools: `ap` (IoU 0.50:0.95), `ap50` and `ap75`; -1 without gold."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    names = sorted({name_key(label) for image in gold for label in image.labels})
    if not names:
        return {"ap": -1.0, "ap50": -1.0, "ap75": -1.0}
    category = {name: i + 1 for i, name in enumerate(names)}
    truth, found = COCO(), COCO()
    images = [{"id": i + 1} for i in range(len(gold))]
    categories = [{"id": number, "name": name} for name, number in category.items()]
    truth.dataset = {"images": images, "categories": categories, "annotations": _coco_rows(gold, category)}
    found.dataset = {"images": images, "categories": categories, "annotations": _coco_rows(predicted, category)}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        truth.createIndex()
        found.createIndex()
        judge = COCOeval(truth, found, "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return {"ap": float(judge.stats[0]), "ap50": float(judge.stats[1]), "ap75": float(judge.stats[2])}


def _coco_rows(images: Sequence[Boxes], category: dict[str, int]) -> list[dict[str, object]]:
    """COCO annotations; a label that gold does not know can match nothing and belongs to no category: left out."""
    rows: list[dict[str, object]] = []
    for number, image in enumerate(images, start=1):
        scores = image.scores if len(image.scores) else np.ones(len(image.labels))
        for (x1, y1, x2, y2), label, score in zip(image.xyxy.tolist(), image.labels, scores.tolist(), strict=True):
            if (name := name_key(label)) in category:
                box = [x1, y1, x2 - x1, y2 - y1]
                area = box[2] * box[3]
                row = {"id": len(rows) + 1, "image_id": number, "category_id": category[name], "bbox": box}
                rows.append({**row, "area": area, "iscrowd": 0, "score": score})
    return rows


def grounding_recall(predicted: Sequence[Grounded], gold: Sequence[Grounded], *, min_iou: float) -> Counts:
    """Phrases of an image whose best box is right: recall@1 as in Flickr30k Entities (Plummer et al. 2015, 1505.04870).

    A gold phrase counts as found where the first box predicted for the same words, articles apart, overlaps any of its
    gold boxes by `min_iou`. `predicted` of the counts is phrases answered.
    """
    total = Counts()
    first = {_words(phrase): boxes[:1] for phrase, boxes in reversed(predicted) if len(boxes)}
    for phrase, boxes in gold:
        best = first.get(_words(phrase))
        hit = best is not None and len(boxes) > 0 and bool(pairwise_iou(best, boxes).max() >= min_iou)
        total += Counts(matched=int(hit), predicted=int(best is not None), gold=1)
    return total


def _words(phrase: str) -> str:
    """A text that was rewritten says "the dog" where gold says "a dog"."""
    words = name_key(phrase).split()
    return " ".join(words[1:] if len(words) > 1 and words[0] in ("a", "an", "the") else words)
