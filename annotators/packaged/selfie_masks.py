"""Selfie segmentation, 256 px: polygons of the people that a detector has found, 7 ms each on one core.

On 31 human masks, prompted with the true box, it reached 0.67 mean IoU on people, the box itself 0.43. It knows people
only: other objects get no mask rather than a bad one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure
from fld_engine.annotators.common.coco_classes import PERSON
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.libraries import NETWORKS
from fld_engine.annotators.common.polygons import PolygonParams, outlines
from fld_engine.annotators.common.resize import resized
from fld_engine.annotators.packaged.onnx_session import OnnxSession, open_session
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Box, Mask, Region
from fld_engine.schemas.kinds import Kind

Plane = npt.NDArray[np.float32]

SIDE_PX = 256


class SelfieMasks:
    """Writes one mask for every known person region whose foreground fills enough of its box."""

    class Params(PolygonParams):
        """How a probability plane becomes polygons; all values are ours."""

        padding: float = Field(default=0.1, ge=0, le=1, description="context around the box, share of its longer side")
        threshold: float = Field(default=0.5, gt=0, lt=1, description="foreground probability of a mask pixel")
        min_fill: float = Field(default=0.1, ge=0, le=1, description="share of the box below which no mask is written")

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels", "objects"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"masks"})
    resources = Resources(cpus=1, memory_mb=300)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = NETWORKS
    model = PACKAGED["selfie"].identity
    packaged: ClassVar[tuple[str, ...]] = ("selfie",)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._session: OnnxSession | None = None

    def load(self) -> None:
        self._session = open_session(ensure("selfie", fetch=False))

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Masks in the order of the known regions, `subject_id` the region's id."""
        return [Annotations(masks=self._masks(sample)) for sample in batch]

    def _masks(self, sample: Sample) -> tuple[Mask, ...]:
        people = [region for region in sample.known.regions if _is_person(region)]
        found = ((region.id, self._segment(pixels_of(sample), region.box_xyxy)) for region in people)
        return tuple(mask.model_copy(update={"subject_id": id_}) for id_, mask in found if mask is not None)

    def _segment(self, pixels: RGB, box_xyxy: Box) -> Mask | None:
        """The person in a box, or None where too little of the box is foreground."""
        probability, origin_xy = self._foreground(pixels, box_xyxy)
        inside = _inside(probability.shape, origin_xy, box_xyxy)
        mask = (probability > self.params.threshold) & inside
        x1, y1, x2, y2 = box_xyxy
        if np.count_nonzero(mask) < self.params.min_fill * (x2 - x1) * (y2 - y1):
            return None
        polygons = outlines(mask, origin_xy, box_xyxy, self.params)
        if not polygons:
            return None
        return Mask(polygons=polygons, score=float(probability[mask].mean(dtype=np.float64)))

    def _foreground(self, pixels: RGB, box_xyxy: Box) -> tuple[Plane, tuple[int, int]]:
        """Foreground probability of the padded crop, at the size of the crop, and the crop's place in the image."""
        assert self._session is not None, "load() comes before annotate()"
        height, width = pixels.shape[:2]
        x1, y1, x2, y2 = box_xyxy
        pad = self.params.padding * max(x2 - x1, y2 - y1)
        left, top = max(0, int(x1 - pad)), max(0, int(y1 - pad))
        right, bottom = min(width, int(np.ceil(x2 + pad))), min(height, int(np.ceil(y2 + pad)))
        crop = resized(pixels[top:bottom, left:right], (SIDE_PX, SIDE_PX), "linear")
        (plane,) = self._session.run(["activation_10"], {"input_1": crop[None].astype(np.float32) / 255})
        probability = resized(plane[0, ..., 0], (right - left, bottom - top), "linear")
        return probability.astype(np.float32, copy=False), (left, top)


def _is_person(region: Region) -> bool:
    return region.kind == "object" and any(text.kind == "phrase" and text.text == PERSON for text in region.texts)


def _inside(shape: tuple[int, ...], origin_xy: tuple[int, int], box_xyxy: Box) -> npt.NDArray[np.bool_]:
    """Which pixels of a crop at `origin_xy` have their centre in the box: (height, width) bool."""
    x1, y1, x2, y2 = box_xyxy
    columns = np.arange(shape[1]) + origin_xy[0] + 0.5
    rows = np.arange(shape[0]) + origin_xy[1] + 0.5
    return ((rows >= y1) & (rows <= y2))[:, None] & ((columns >= x1) & (columns <= x2))[None, :]
