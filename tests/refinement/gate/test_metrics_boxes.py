from __future__ import annotations

import numpy as np
import pytest

from fld_engine.engine.data.geometry import Floats
from fld_engine.refinement.gate.metrics_boxes import Counts, average_precision, count_matches, grounding_recall
from fld_engine.refinement.labels.boxes import Boxes

SQUARE = (0.0, 0.0, 10.0, 10.0)
CLOSE = (0.0, 0.0, 10.0, 8.0)  # IoU 0.8 with SQUARE
HALF = (0.0, 0.0, 10.0, 6.0)  # IoU 0.6
FAR = (50.0, 50.0, 60.0, 60.0)


def boxes(*items: tuple[tuple[float, ...], str], scores: list[float] | None = None) -> Boxes:
    xyxy = np.array([box for box, _ in items], dtype=np.float64).reshape(-1, 4)
    return Boxes(xyxy, [label for _, label in items], np.array(scores or [1.0] * len(items)))


@pytest.mark.parametrize(
    ("predicted", "min_iou", "expected"),
    [
        ([(CLOSE, "cat")], 0.5, (1, 1, 1)),
        ([(CLOSE, "cat")], 0.75, (1, 1, 1)),
        ([(HALF, "cat")], 0.75, (0, 1, 1)),  # found, but not tightly
        ([(CLOSE, "dog")], 0.5, (0, 1, 1)),  # the right place, the wrong name
        ([(CLOSE, "cat"), (HALF, "cat")], 0.5, (1, 2, 1)),  # one thing, found twice: one is wrong
        ([], 0.5, (0, 0, 1)),
    ],
)
def test_counts(predicted: list[tuple[tuple[float, ...], str]], min_iou: float, expected: tuple[int, ...]) -> None:
    counts = count_matches(boxes(*predicted), boxes((SQUARE, "cat")), min_iou=min_iou)
    assert (counts.matched, counts.predicted, counts.gold) == expected


def test_precision_recall_f1_of_sums() -> None:
    """Two of three right, two of four found: 2/3, 2/4, and 4/7."""
    total = Counts(matched=1, predicted=1, gold=2) + Counts(matched=1, predicted=2, gold=2)
    assert (total.precision, total.recall, total.f1) == (pytest.approx(2 / 3), 0.5, pytest.approx(4 / 7))


def test_empty_against_empty_is_perfect_and_silence_is_not_wrong() -> None:
    assert (Counts().precision, Counts().recall, Counts().f1) == (1.0, 1.0, 1.0)
    silent = Counts(gold=3)
    assert (silent.precision, silent.recall, silent.f1) == (1.0, 0.0, 0.0)


def test_average_precision_of_perfect_boxes_is_one() -> None:
    truth = [boxes((SQUARE, "cat"), (FAR, "dog")), boxes((FAR, "cat"))]
    assert average_precision(truth, truth) == pytest.approx({"ap": 1.0, "ap50": 1.0, "ap75": 1.0})


def test_average_precision_falls_with_a_surer_false_box() -> None:
    """One cat; the false box is surer, so precision at the first and only recall step is one half."""
    truth = [boxes((SQUARE, "cat"))]
    found = [boxes((FAR, "cat"), (CLOSE, "cat"), scores=[0.9, 0.5])]
    figures = average_precision(found, truth)
    assert figures["ap50"] == pytest.approx(0.5, abs=1e-6)
    assert figures["ap75"] == pytest.approx(0.5, abs=1e-6)
    assert figures["ap"] == pytest.approx(0.5 * 7 / 10, abs=1e-6)  # IoU 0.8 passes 7 of the 10 bounds


def test_average_precision_with_nothing_found_and_without_gold() -> None:
    assert average_precision([boxes()], [boxes((SQUARE, "cat"))])["ap"] == 0.0
    assert average_precision([boxes((SQUARE, "cat"))], [boxes()])["ap"] == -1.0


def rows(*given: tuple[float, ...]) -> Floats:
    return np.array(given, dtype=np.float64).reshape(-1, 4)


def test_grounding_recall_asks_for_the_first_box_alone() -> None:
    gold = [("a cat", rows(SQUARE)), ("the dog", rows(FAR)), ("a hat", rows(FAR))]
    said = [("The cat", rows(CLOSE, FAR)), ("the dog", rows(SQUARE, FAR))]  # the dog's right box comes second
    counts = grounding_recall(said, gold, min_iou=0.5)
    assert (counts.matched, counts.predicted, counts.gold) == (1, 2, 3)
    assert counts.recall == pytest.approx(1 / 3)
