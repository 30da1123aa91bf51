"""NanoDet-g, 416 px: the 80 COCO classes in 70 to 90 ms on one core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.detections import DetectorParams, cells_above, object_regions
from fld_engine.annotators.common.libraries import NETWORKS
from fld_engine.annotators.common.resize import resized
from fld_engine.annotators.packaged.onnx_session import OnnxSession, open_session
from fld_engine.engine.data.geometry import Floats, Ints
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Region
from fld_engine.schemas.kinds import Kind

SIDE_PX = 416
BGR_MEAN = np.array([103.53, 116.28, 123.675], dtype=np.float32)
BGR_STD = np.array([57.375, 57.12, 58.395], dtype=np.float32)
"""ImageNet statistics in the channel order that NanoDet was trained in."""
NUM_BINS = 11
"""A box side is a distribution over 0 to 10 strides (generalised focal loss, Li et al. 2020, arXiv 2006.04388)."""
HEADS = ((8, "Identity", "Identity_3"), (16, "Identity_1", "Identity_4"), (32, "Identity_2", "Identity_5"))
"""(stride in pixels, output with class scores (cells, 80), output with sides (cells, 4 · 11))."""


class NanoDet:
    """Score-first object detector: writes all that is above a low floor, filters decide later."""

    class Params(DetectorParams):
        """Those of every detector."""

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"objects"})
    resources = Resources(cpus=1, memory_mb=400)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = NETWORKS
    model = PACKAGED["nanodet"].identity
    packaged: ClassVar[tuple[str, ...]] = ("nanodet",)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._session: OnnxSession | None = None

    def load(self) -> None:
        self._session = open_session(ensure("nanodet", fetch=False))

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Object regions by falling score; the network takes one image at a time."""
        return [Annotations(regions=self._detect(sample)) for sample in batch]

    def _detect(self, sample: Sample) -> tuple[Region, ...]:
        assert self._session is not None, "load() comes before annotate()"
        names = [name for _, *pair in HEADS for name in pair]
        outputs = dict(
            zip(names, self._session.run(names, {"input_1": _network_input(pixels_of(sample))}), strict=True)
        )
        heads = [
            _decode(outputs[scores][0], outputs[sides][0], stride, self.params.min_score)
            for stride, scores, sides in HEADS
        ]
        boxes, scores, classes = (np.concatenate(parts) for parts in zip(*heads, strict=True))
        to_image = np.array([sample.width, sample.height, sample.width, sample.height]) / SIDE_PX
        return object_regions(boxes * to_image, scores, classes, (sample.width, sample.height), self.params)


def _network_input(pixels: RGB) -> npt.NDArray[np.float32]:
    """The whole image squashed to a square, BGR, normalised: (1, 3, 416, 416).

    Squashing finds more human boxes than keeping the aspect ratio on a padded square does.
    """
    square = resized(pixels, (SIDE_PX, SIDE_PX))
    normal = (square[..., ::-1].astype(np.float32) - BGR_MEAN) / BGR_STD
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def _decode(
    class_scores: npt.NDArray[np.float32], sides: npt.NDArray[np.float32], stride: int, min_score: float
) -> tuple[Floats, Floats, Ints]:
    """Boxes (n, 4) in network pixels, scores and classes of one head.

    A side's distance from the cell centre `(column + 0.5, row + 0.5) · stride` is the expected bin times the stride.
    """
    cells, classes, scores = cells_above(class_scores, min_score)
    bins = sides[cells].reshape(-1, 4, NUM_BINS).astype(np.float64)
    weights = np.exp(bins - bins.max(axis=-1, keepdims=True))
    distances = weights @ np.arange(NUM_BINS) / weights.sum(axis=-1) * stride
    rows, columns = np.divmod(cells, SIDE_PX // stride)
    centres = (np.stack([columns, rows], axis=1) + 0.5) * stride
    boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
    return boxes, scores, classes
