"""Object detectors of a model hub: RT-DETR, D-FINE, DETR and kin, each with the classes it was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.checkpoints.passes import Inputs
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.detections import DetectorParams, object_regions
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Region
from fld_engine.schemas.kinds import Kind


class HubObjectDetector:
    """Writes all that is above a low floor, filters decide later.

    A region's score is the detector's own: the sigmoid or softmax of its class logit, not comparable between models.
    """

    class Params(HubParams, DetectorParams):
        """Which detector, and what its classes are called."""

        label_map: Mapping[str, str] = Field(
            default_factory=dict, description="class of the checkpoint → phrase to write for it; empty: not written"
        )

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"objects"})
    resources = Resources(cpus=1, memory_mb=2000)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        self._loaded: Loaded | None = None

    def load(self) -> None:
        self._loaded = load(
            self.params,
            role="object detection",
            auto_model="AutoModelForObjectDetection",
            auto_processor="AutoImageProcessor",
        )
        self._phrases = _phrases(self._loaded.model.config.id2label, self.params.label_map)

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._loaded is not None and self._loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Object regions by falling score."""
        assert self._loaded is not None, "load() comes before annotate()"
        sized = self._loaded.size_bucket
        found = self._loaded.passes.run(batch, self._prepare, self._forward, lambda s: sized((s.width, s.height)))
        return [
            Annotations(regions=self._regions(sample, *of_image)) for sample, of_image in zip(batch, found, strict=True)
        ]

    def _prepare(self, samples: Sequence[Sample]) -> Inputs:
        assert self._loaded is not None
        pixels = self._loaded.pixels([pixels_of(sample) for sample in samples])
        return {**pixels, "sizes": [(sample.height, sample.width) for sample in samples]}

    def _forward(self, inputs: Inputs) -> list[tuple[Any, Any, Any]]:
        """Boxes (n, 4) in pixels, scores (n,) and class numbers (n,) of each image."""
        assert self._loaded is not None
        output = self._loaded.forward({name: value for name, value in inputs.items() if name != "sizes"})
        answers = self._loaded.processor.post_process_object_detection(
            output, threshold=self.params.min_score, target_sizes=inputs["sizes"]
        )
        return [tuple(answer[name].cpu().numpy() for name in ("boxes", "scores", "labels")) for answer in answers]

    def _regions(self, sample: Sample, boxes: Any, scores: Any, classes: Any) -> tuple[Region, ...]:
        named = np.isin(classes, list(self._phrases))
        return object_regions(
            boxes[named].astype(np.float64),
            scores[named].astype(np.float64),
            classes[named].astype(np.int64),
            (sample.width, sample.height),
            self.params,
            self._phrases,
        )


def _phrases(id2label: Mapping[int, str], label_map: Mapping[str, str]) -> dict[int, str]:
    """Class number → phrase: lower case, words apart, as all category phrases are; `N/A` and its kin are no class."""
    mapped = {number: label_map.get(name, name) for number, name in id2label.items()}
    spoken = {number: " ".join(name.replace("_", " ").lower().split()) for number, name in mapped.items()}
    return {number: phrase for number, phrase in spoken.items() if phrase not in ("", "n/a")}
