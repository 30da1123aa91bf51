"""Drift watch: whether a round's labels still look like those of round 0, before anyone asks whether they are right.

Self-training can collapse quietly: fewer words, fewer boxes, all of one size. Each figure is compared with round 0 and
has a limit; a figure beyond its limit is named, and a refine run stops there unless told otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.engine.data.geometry import Floats, areas
from fld_engine.engine.data.identity import Fields
from fld_engine.schemas.annotations import Frozen

AREA_EDGES = tuple(float(edge) for edge in np.geomspace(1e-4, 1.0, 13))
"""Bounds of the bins that relative box areas fall into: three a decade, as areas span four decades."""
LENGTH_EDGES = (0.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0)
"""Bounds of the bins that text lengths in words fall into."""


class DriftLimits(Frozen):
    """How far a figure may be from round 0: a ratio for means and entropy, a distance in [0, 1] for distributions."""

    in_fingerprints: ClassVar[Fields] = Fields(always=("entropy_ratio", "boxes_ratio", "distribution_distance"))

    entropy_ratio: float = Field(default=0.8, gt=0, le=1)
    boxes_ratio: float = Field(default=0.6, gt=0, le=1)
    distribution_distance: float = Field(default=0.25, gt=0, le=1)


class Portrait(Frozen):
    """What the labels of a round look like as a whole."""

    phrase_entropy: float
    boxes_per_image: float
    areas: tuple[float, ...]
    lengths: tuple[float, ...]


class Drift(Frozen):
    """One figure of a round beside that of round 0."""

    figure: str
    before: float
    now: float
    distance: float
    limit: float
    within: bool


class Survey(Frozen):
    """Counts of the labels of some images: boxes, areas and lengths of texts by bin, phrases in lower case. Adds up."""

    num_images: int = 0
    areas: tuple[int, ...] = (0,) * (len(AREA_EDGES) - 1)
    lengths: tuple[int, ...] = (0,) * (len(LENGTH_EDGES) - 1)
    phrases: Mapping[str, int] = Field(default_factory=dict)

    def __add__(self, other: Survey) -> Survey:
        return Survey(
            num_images=self.num_images + other.num_images,
            areas=_sums(self.areas, other.areas),
            lengths=_sums(self.lengths, other.lengths),
            phrases=dict(Counter(self.phrases) + Counter(other.phrases)),
        )

    def portrait(self) -> Portrait:
        """The same for any order of what was added."""
        return Portrait(
            phrase_entropy=entropy(self.phrases),
            boxes_per_image=sum(self.areas) / max(self.num_images, 1),
            areas=_shares(self.areas),
            lengths=_shares(self.lengths),
        )


def survey(
    num_images: int, boxes_xyxy: Floats, image_areas: Floats, phrases: Iterable[str], texts: Iterable[str]
) -> Survey:
    """Count labels: (n, 4) boxes with the (n,) areas of their images, one phrase a region, texts of images."""
    relative = areas(boxes_xyxy.reshape(-1, 4)) / image_areas if len(boxes_xyxy) else np.zeros(0)
    lengths = np.array([len(text.split()) for text in texts], dtype=np.float64)
    return Survey(
        num_images=num_images,
        areas=_histogram(relative, AREA_EDGES),
        lengths=_histogram(lengths, LENGTH_EDGES),
        phrases=dict(Counter(phrase.strip().lower() for phrase in phrases)),
    )


def entropy(phrases: Mapping[str, int]) -> float:
    """Shannon entropy of counted phrases, in bits: 0 where all are the same."""
    counts = np.array([phrases[phrase] for phrase in sorted(phrases)], dtype=np.float64)
    if not len(counts):
        return 0.0
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def compare(before: Portrait, now: Portrait, limits: DriftLimits) -> tuple[Drift, ...]:
    """Every figure of the drift watch. A ratio counts in both directions: twice as many is as far as half as many."""
    return (
        _ratio("phrase_entropy", before.phrase_entropy, now.phrase_entropy, limits.entropy_ratio),
        _ratio("boxes_per_image", before.boxes_per_image, now.boxes_per_image, limits.boxes_ratio),
        _distance("areas", before.areas, now.areas, limits.distribution_distance),
        _distance("lengths", before.lengths, now.lengths, limits.distribution_distance),
    )


def beyond(drifts: Iterable[Drift]) -> dict[str, Drift]:
    """The figures that are beyond their limits, by name."""
    return {drift.figure: drift for drift in drifts if not drift.within}


def _ratio(figure: str, before: float, now: float, limit: float) -> Drift:
    high = max(before, now)
    ratio = min(before, now) / high if high > 0 else 1.0
    return Drift(figure=figure, before=before, now=now, distance=1 - ratio, limit=1 - limit, within=ratio >= limit)


def _distance(figure: str, before: tuple[float, ...], now: tuple[float, ...], limit: float) -> Drift:
    """Total variation: the share of labels that would have to change bins."""
    distance = 0.5 * float(np.abs(np.array(before) - np.array(now)).sum())
    means = (_mean_bin(before), _mean_bin(now))
    return Drift(figure=figure, before=means[0], now=means[1], distance=distance, limit=limit, within=distance <= limit)


def _histogram(values: npt.NDArray[np.float64], edges: tuple[float, ...]) -> tuple[int, ...]:
    """Numbers of values by bin; what lies beyond the edges counts to the outermost bins."""
    return tuple(np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)[0].tolist())


def _sums(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _shares(counts: tuple[int, ...]) -> tuple[float, ...]:
    total = max(sum(counts), 1)
    return tuple(round(count / total, 6) for count in counts)


def _mean_bin(shares: tuple[float, ...]) -> float:
    return float(np.dot(shares, np.arange(len(shares))))
