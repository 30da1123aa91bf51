"""Bins of the distributions. Their edges are constants of the stored tables: bump `tables.VERSION` with them."""

from __future__ import annotations

import numpy as np

from fld_engine.engine.data.geometry import Floats, Ints

SCORE_BINS = 100
VALUE_EDGES: Floats = np.concatenate(
    [np.arange(100) / 100, np.arange(20, 200) / 20, np.arange(10, 200), 200 * np.sqrt(2.0) ** np.arange(16)]
)
"""Of what filters decide on: hundredths to 1, twentieths to 10, whole numbers to 200, half octaves to 36,204 and above.

Scores and shares, complexities, numbers of things and sides in pixels each find bins fine enough for their bounds.
"""
NUM_VALUE_BINS = len(VALUE_EDGES) + 1
COMPLEXITY_STEP = 0.25
COMPLEXITY_BINS = 41
COUNT_BINS = 101
IOU_BINS = 20


def score_bins(scores: Floats) -> Ints:
    """Hundredths in [0, 1]; what lies outside is counted in the outer bins. A score of 1 is in the last."""
    # + 1e-9: scores are stored in steps of 1e-4, and 0.29 * 100 is less than 29 in floats
    return np.clip(np.floor(scores * SCORE_BINS + 1e-9), 0, SCORE_BINS - 1).astype(np.int64)


def value_bins(values: Floats, *, keeps_low: bool = False) -> Ints:
    """(n,) bin of `VALUE_EDGES` that holds each value a filter decided on; bin 0 holds everything below 0.

    A value on an edge is in the bin above it, so that all of a bin passes a bound on its lower edge; for a filter that
    keeps low values it is in the bin below, so that all of that bin passes a bound on its upper edge.
    """
    bins = np.searchsorted(VALUE_EDGES, values, side="left" if keeps_low else "right")
    return np.clip(bins, 0, len(VALUE_EDGES)).astype(np.int64)


def value_edge(value_bin: int, *, keeps_low: bool = False) -> float:
    """The bound that a bin of `value_bins` just passes: its lower edge, or its upper one where low values are kept.

    -1 stands below the first bin, and half an octave more than the last edge above the last.
    """
    if keeps_low:
        return float(VALUE_EDGES[value_bin] if value_bin < len(VALUE_EDGES) else VALUE_EDGES[-1] * np.sqrt(2.0))
    return -1.0 if value_bin == 0 else float(VALUE_EDGES[value_bin - 1])


def iou_bins(iou: Floats) -> Ints:
    """Twentieths in [0, 1]; 1 is in the last."""
    return np.clip(np.floor(iou * IOU_BINS + 1e-9), 0, IOU_BINS - 1).astype(np.int64)


def number_bins(numbers: Ints) -> Ints:
    """A bin for every number below 100, and one for the rest."""
    return np.clip(numbers, 0, COUNT_BINS - 1)


def complexity_bins(degrees: Ints, number: Ints) -> Ints:
    """Quarters of the mean degree `degrees / number`, in whole numbers; up to 10."""
    return np.minimum(4 * degrees // np.maximum(number, 1), COMPLEXITY_BINS - 1)
