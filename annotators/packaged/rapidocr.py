"""PP-OCR v4 through RapidOCR: lines of scene text with quadrilaterals, about 600 ms per image on one core.

It reads well and is weak at spaces between words.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.annotators.assets.catalogue import PACKAGED
from fld_engine.annotators.assets.prepare import ensure
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.libraries import NETWORKS
from fld_engine.annotators.common.resize import resized
from fld_engine.engine.data.geometry import from_top_left, polygon_area, quad_bounds
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Region, RegionText
from fld_engine.schemas.kinds import Kind

Reader = Callable[..., tuple[list[list[Any]] | None, Any]]
MIN_SIDE_PX = 8
"""Lower images hold no readable letter, and RapidOCR would enlarge them without bound."""
Corners = npt.NDArray[np.float64]


class RapidOcr:
    """Writes every line of text the reader makes out, in its reading order."""

    class Params(Frozen):
        """Limits of detection and reading; sources beside each."""

        max_side_px: int = Field(default=960, ge=64, description="longer images are shrunk to this; PP-OCR's own")
        min_box_score: float = Field(default=0.5, ge=0, le=1, description="lowest detection score; RapidOCR's own")
        min_score: float = Field(default=0.3, ge=0, le=1, description="lowest reading score that is written; ours")

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"scene_text"})
    resources = Resources(cpus=1, memory_mb=1200)
    batch_size = 4
    libraries: ClassVar[tuple[str, ...]] = (*NETWORKS, "rapidocr-onnxruntime", "pyclipper", "shapely")
    model = PACKAGED["rapidocr"].identity
    packaged: ClassVar[tuple[str, ...]] = ("rapidocr",)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._reader: Reader | None = None

    def load(self) -> None:
        """Open detector and recogniser, one thread each; raises `ModelError` when the package is absent."""
        ensure("rapidocr", fetch=False)
        from rapidocr_onnxruntime import RapidOCR

        for name in ("RapidOCR", "OrtInferSession", "DownloadModel"):
            logging.getLogger(name).setLevel(logging.ERROR)  # it logs every image without text
        self._reader = RapidOCR(
            intra_op_num_threads=1,
            inter_op_num_threads=1,
            det_limit_type="max",  # small images are not enlarged
            det_box_thresh=self.params.min_box_score,
            text_score=self.params.min_score,
        )

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Text regions in reading order; lines are upright, so no orientation classifier runs."""
        return [Annotations(regions=self._read(sample)) for sample in batch]

    def _read(self, sample: Sample) -> tuple[Region, ...]:
        assert self._reader is not None, "load() comes before annotate()"
        image = _shrunk(pixels_of(sample), self.params.max_side_px)
        if min(image.shape[:2]) < MIN_SIDE_PX:
            return ()
        lines, _ = self._reader(np.ascontiguousarray(image[..., ::-1]), use_cls=False)  # BGR
        to_image = np.array([sample.width / image.shape[1], sample.height / image.shape[0]])
        regions = (
            _region(np.array(corners) * to_image, text, float(score), (sample.width, sample.height))
            for corners, text, score in lines or ()
        )
        return tuple(region for region in regions if region is not None)


def _shrunk(pixels: RGB, max_side_px: int) -> RGB:
    """The image with its longest side at most `max_side_px`; RapidOCR's own shrinking breaks on narrow images."""
    height, width = pixels.shape[:2]
    scale = max_side_px / max(height, width)
    if scale >= 1:
        return pixels
    wh = max(1, round(width * scale)), max(1, round(height * scale))
    return resized(pixels, wh)


def _region(corners: Corners, text: str, score: float, image_wh: tuple[int, int]) -> Region | None:
    """A line as a region, or None where it has no text or no area inside the frame."""
    quad = from_top_left(np.clip(corners, 0.0, image_wh).round(2).reshape(-1).tolist())
    text = text.strip()
    x1, y1, x2, y2 = quad_bounds(quad)
    if not text or x2 <= x1 or y2 <= y1 or polygon_area(quad) == 0:
        return None
    return Region(
        kind="text",
        box_xyxy=(x1, y1, x2, y2),
        quad=quad,
        score=score,
        texts=(RegionText(kind="ocr", text=text, score=score),),
    )
