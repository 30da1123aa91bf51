"""How well texts agree with gold: character error rate of read text, CIDEr of descriptions; and IoU of masks."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from fld_engine.engine.data.geometry import Floats
from fld_engine.schemas.annotations import Polygon

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def character_error_rate(predicted: Sequence[str], gold: Sequence[str]) -> float:
    """Edits per character of gold, over all texts together (jiwer); images whose gold is empty are left out.

    More characters than gold has can make it larger than 1. 0 where there is no gold to read.
    """
    import jiwer

    pairs = [(p, g) for p, g in zip(predicted, gold, strict=True) if g]
    if not pairs:
        return 0.0
    return float(jiwer.cer([g for _, g in pairs], [p for p, _ in pairs]))


def cider(predicted: Sequence[str], gold: Sequence[Sequence[str]]) -> Floats:
    """(n,) CIDEr-D of each text against its references (Vedantam et al. 2015, arXiv 1411.5726), by pycocoevalcap.

    Words are lower-case runs of letters and digits: the usual tokenizer needs Java and differs in punctuation alone.
    Document frequencies come from all references given, so figures of different sets cannot be compared. One image
    alone has no frequencies and scores 0. Raises `ValueError` for a text without references.
    """
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    scorer = CiderScorer()
    for text, references in zip(predicted, gold, strict=True):
        if not references:
            raise ValueError(f"CIDEr needs at least one reference for each text, got none for {text!r}")
        scorer += (_words(text), [_words(reference) for reference in references])
    if len(predicted) < 2:
        return np.zeros(len(predicted))
    _, scores = scorer.compute_score()
    return np.asarray(scores, dtype=np.float64)


def mask_iou(a: Sequence[Polygon], b: Sequence[Polygon], image_wh: tuple[int, int]) -> float:
    """Intersection over union of two masks, each the union of its polygons, on the pixel grid; 0 if both are empty."""
    from pycocotools import mask

    width, height = image_wh
    encoded = [
        mask.merge(mask.frPyObjects([list(polygon) for polygon in polygons], height, width))
        for polygons in (a, b)
        if polygons
    ]
    if len(encoded) < 2:
        return 0.0
    return float(mask.iou([encoded[0]], [encoded[1]], [0])[0, 0])


def _words(text: str) -> str:
    return " ".join(_WORD.findall(text.lower()))
