from __future__ import annotations

import numpy as np
import pytest

from fld_engine.refinement.gate.drift import DriftLimits, compare
from fld_engine.refinement.labels.survey import Portrait, survey

LIMITS = DriftLimits()
BOXES = np.array([[0.0, 0, 10, 10], [0.0, 0, 50, 50], [20.0, 20, 30, 30], [0.0, 0, 100, 90]])
PHRASES = ["cat", "dog", "bus", "kite"]
TEXTS = ["a cat and a dog", "a bus in the rain"]


def of(boxes: np.ndarray = BOXES, phrases: list[str] = PHRASES, texts: list[str] = TEXTS) -> Portrait:
    return survey(2, boxes, np.full(len(boxes), 10_000.0), phrases, texts).portrait()


def figures(now: Portrait, limits: DriftLimits = LIMITS) -> set[str]:
    return {drift.figure for drift in compare(of(), now, limits) if not drift.within}


def test_same_labels_have_not_drifted() -> None:
    assert all(drift.distance == 0 for drift in compare(of(), of(), DriftLimits()))


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (of(phrases=["cat", "cat", "cat", "dog"]), {"phrase_entropy"}),  # the student says one word for everything
        (of(boxes=np.repeat(BOXES, 3, axis=0)), {"boxes_per_image"}),  # it sees everything three times
        (of(boxes=BOXES[:0]), {"boxes_per_image", "areas"}),  # it has stopped seeing
        (of(texts=["cat", "bus"]), {"lengths"}),  # its texts have shrunk to a word
    ],
)
def test_collapse_is_named(now: Portrait, expected: set[str]) -> None:
    assert figures(now) == expected


def test_limits_are_the_user_s() -> None:
    loose = DriftLimits(entropy_ratio=0.1)
    assert not figures(of(phrases=["cat", "cat", "cat", "dog"]), loose)
