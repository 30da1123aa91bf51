"""What the labels of a round look like as a whole: words, boxes, sizes and lengths, counted and added up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.engine.data.geometry import Floats, areas
from fld_engine.refinement.labels.image import LabelledImage, boxes_of
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.names import name_key

AREA_EDGES = tuple(float(edge) for edge in np.geomspace(1e-4, 1.0, 13))
"""Bounds of the bins that relative box areas fall into: three a decade, as areas span four decades."""
LENGTH_EDGES = (0.0, 4.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0, 96.0, 128.0)
"""Bounds of the bins that text lengths in words fall into."""


class Portrait(Frozen):
    """What the labels of a round look like as a whole."""

    phrase_entropy: float
    boxes_per_image: float
    areas: tuple[float, ...]
    lengths: tuple[float, ...]


class Survey(Frozen):
    """Counts of the labels of some images: boxes, areas and lengths of texts by bin, phrases by key. Adds up."""

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
        phrases=dict(Counter(name_key(phrase) for phrase in phrases)),
    )


def survey_of(images: Sequence[LabelledImage]) -> Survey:
    """What the labels look like, those on gold images left out."""
    images = [image for image in images if not image.gold_split]
    boxes = boxes_of([region for image in images for region in image.regions])
    sizes = [float(image.image_wh[0] * image.image_wh[1]) for image in images for _ in image.regions]
    texts = [text.text for image in images for text in image.texts]
    return survey(len(images), boxes.xyxy, np.array(sizes), boxes.labels, texts)


def entropy(phrases: Mapping[str, int]) -> float:
    """Shannon entropy of counted phrases, in bits: 0 where all are the same."""
    counts = np.array([phrases[phrase] for phrase in sorted(phrases)], dtype=np.float64)
    if not len(counts):
        return 0.0
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum()) + 0.0


def _histogram(values: npt.NDArray[np.float64], edges: tuple[float, ...]) -> tuple[int, ...]:
    """Numbers of values by bin; what lies beyond the edges counts to the outermost bins."""
    return tuple(np.histogram(np.clip(values, edges[0], edges[-1]), bins=edges)[0].tolist())


def _sums(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _shares(counts: tuple[int, ...]) -> tuple[float, ...]:
    total = max(sum(counts), 1)
    return tuple(round(count / total, 6) for count in counts)
