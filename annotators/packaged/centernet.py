"""MobileNetV3-CenterNet, 512 px: a second detector of the 80 COCO classes, for agreement with the first.

Opt-in: the licence of its weights is not stated, only that of the package around them.
"""

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

SIDE_PX = 512
STRIDE_PX = 4


class CenterNet:
    """Score-first object detector: a box is a peak of a class heat map (Zhou et al. 2019, arXiv 1904.07850)."""

    class Params(DetectorParams):
        """Those of every detector."""

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"objects"})
    resources = Resources(cpus=1, memory_mb=400)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = NETWORKS
    model = PACKAGED["centernet"].identity
    packaged: ClassVar[tuple[str, ...]] = ("centernet",)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._session: OnnxSession | None = None

    def load(self) -> None:
        self._session = open_session(ensure("centernet", fetch=False))

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Object regions by falling score; the network takes one image at a time."""
        return [Annotations(regions=self._detect(sample)) for sample in batch]

    def _detect(self, sample: Sample) -> tuple[Region, ...]:
        assert self._session is not None, "load() comes before annotate()"
        image, scale = _network_input(pixels_of(sample))
        sides, heat = self._session.run(["tower_0/wh", "tower_0/keypoints"], {"tower_0/images": image})
        boxes, scores, classes = _decode(heat[0], sides[0], self.params.min_score)
        return object_regions(boxes / scale, scores, classes, (sample.width, sample.height), self.params)


def _network_input(pixels: RGB) -> tuple[npt.NDArray[np.float32], float]:
    """The image in the top left of a black square, RGB 0 to 255, (1, 512, 512, 3); and the scale it was put at.

    Squashed to the square instead, it mistakes the class of large subjects more often.
    """
    height, width = pixels.shape[:2]
    scale = SIDE_PX / max(height, width)
    wh = max(1, round(width * scale)), max(1, round(height * scale))
    square = np.zeros((1, SIDE_PX, SIDE_PX, 3), dtype=np.float32)
    square[0, : wh[1], : wh[0]] = resized(pixels, wh)
    return square, scale


def _decode(
    heat: npt.NDArray[np.float32], sides: npt.NDArray[np.float32], min_score: float
) -> tuple[Floats, Floats, Ints]:
    """Boxes (n, 4) in network pixels, scores and classes of the peaks of (128, 128, 80) heat.

    A peak is the highest of its 3 × 3 cells; `sides` (128, 128, 4) are its distances left, top, right and bottom.
    """
    import cv2

    peaks = np.where(heat == cv2.dilate(heat, np.ones((3, 3), dtype=np.uint8)), heat, -1.0)
    rows_columns, num_classes = heat.shape[:2], heat.shape[2]
    cells, classes, scores = cells_above(peaks.reshape(-1, num_classes), min_score)
    rows, columns = np.unravel_index(cells, rows_columns)
    centres = np.stack([columns, rows], axis=1) * float(STRIDE_PX)
    distances = sides[rows, columns].astype(np.float64)
    boxes = np.concatenate([centres - distances[:, :2], centres + distances[:, 2:]], axis=1)
    return boxes, scores, classes
