"""Drift watch: whether a round's labels still look like those of round 0, before anyone asks whether they are right.

Self-training can collapse quietly: fewer words, fewer boxes, all of one size. Each figure is compared with round 0 and
has a limit; a figure beyond its limit is named, and a refine run stops there unless told otherwise.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from fld_engine.engine.data.identity import Fields
from fld_engine.refinement.labels.survey import Portrait
from fld_engine.schemas.annotations import Frozen


class DriftLimits(Frozen):
    """How far a figure may be from round 0: a ratio for means and entropy, a distance in [0, 1] for distributions."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("entropy_ratio", "boxes_ratio", "distribution_distance"))

    entropy_ratio: float = Field(default=0.8, gt=0, le=1)
    boxes_ratio: float = Field(default=0.6, gt=0, le=1)
    distribution_distance: float = Field(default=0.25, gt=0, le=1)


class Drift(Frozen):
    """One figure of a round, compared with that of round 0."""

    figure: str
    before: float
    now: float
    distance: float
    limit: float
    within: bool


def compare(before: Portrait, now: Portrait, limits: DriftLimits) -> tuple[Drift, ...]:
    """Every figure of the drift watch. A ratio counts in both directions: twice as many is as far as half as many."""
    return (
        _ratio("phrase_entropy", before.phrase_entropy, now.phrase_entropy, limits.entropy_ratio),
        _ratio("boxes_per_image", before.boxes_per_image, now.boxes_per_image, limits.boxes_ratio),
        _distance("areas", before.areas, now.areas, limits.distribution_distance),
        _distance("lengths", before.lengths, now.lengths, limits.distribution_distance),
    )


def _ratio(figure: str, before: float, now: float, limit: float) -> Drift:
    high = max(before, now)
    ratio = min(before, now) / high if high > 0 else 1.0
    return Drift(figure=figure, before=before, now=now, distance=1 - ratio, limit=1 - limit, within=ratio >= limit)


def _distance(figure: str, before: tuple[float, ...], now: tuple[float, ...], limit: float) -> Drift:
    """Total variation: the share of labels that would have to change bins."""
    distance = 0.5 * float(np.abs(np.array(before) - np.array(now)).sum())
    means = (_mean_bin(before), _mean_bin(now))
    return Drift(figure=figure, before=means[0], now=means[1], distance=distance, limit=limit, within=distance <= limit)


def _mean_bin(shares: tuple[float, ...]) -> float:
    return float(np.dot(shares, np.arange(len(shares))))
