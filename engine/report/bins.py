"""Bins of the distributions. Their edges are constants of the stored tables: bump `tables.VERSION` with them."""

from __future__ import annotations

import numpy as np

from engine.geometry import Floats, Ints

SCORE_BINS = 100
VALUE_MAX = 200
"""Values of filters past this are counted in the last bin."""
COMPLEXITY_STEP = 0.25
COMPLEXITY_BINS = 41
COUNT_BINS = 101
IOU_BINS = 20


def score_bins(scores: Floats) -> Ints:
    """Hundredths in [0, 1]; what lies outside is counted in the outer bins. A score of 1 is in the last."""
    # + 1e-9: scores are stored in steps of 1e-4, and 0.29 * 100 is less than 29 in floats
    return np.clip(np.floor(scores * SCORE_BINS + 1e-9), 0, SCORE_BINS - 1).astype(np.int64)


def value_bins(values: Floats) -> Ints:
    """Bins of what a filter decides on: below 0 bin 0; hundredths in [0, 1) bins 1 to 100; then whole numbers.

    Shares and similarities are spread over a hundred bins, and numbers of things have a bin each.
    """
    hundredths = 1 + np.floor(values * 100 + 1e-9)
    whole = 100 + np.floor(np.minimum(values, VALUE_MAX))
    return np.where(values < 0, 0, np.where(values < 1, hundredths, whole)).astype(np.int64)


def value_low(value_bin: int) -> float:
    """Lower edge of a bin of `value_bins`; -1 for the first, which holds everything below 0."""
    if value_bin == 0:
        return -1.0
    return (value_bin - 1) / 100 if value_bin <= 100 else float(value_bin - 100)


def iou_bins(iou: Floats) -> Ints:
    """Twentieths in [0, 1]; 1 is in the last."""
    return np.clip(np.floor(iou * IOU_BINS + 1e-9), 0, IOU_BINS - 1).astype(np.int64)


def number_bins(numbers: Ints) -> Ints:
    """A bin for every number below 100, and one for the rest."""
    return np.clip(numbers, 0, COUNT_BINS - 1)


def complexity_bins(degrees: Ints, number: Ints) -> Ints:
    """Quarters of the mean degree `degrees / number`, in whole numbers; up to 10."""
    return np.minimum(4 * degrees // np.maximum(number, 1), COMPLEXITY_BINS - 1)
