"""Promptable segmenters of a model hub: SAM and SAM 2, asked for what fills each box."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.checkpoints.passes import Inputs
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.annotators.common.polygons import PolygonParams, outlines
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Mask, Region
from fld_engine.schemas.kinds import Kind

STABILITY_OFFSET = 1.0
"""Logits up and down by which a mask's stability is measured (the default of SAM's own mask generator)."""
PIXELS_AT_ONCE = 1 << 25
"""Pixels of full-size masks that are in memory together: 128 MB of logits (ours)."""


class HubBoxMasks:
    """Writes a mask for every known object: all boxes of an image in one pass.

    A mask's score is the model's own estimate of its IoU times its stability: the IoU of the mask cut off a little
    above and a little below its threshold. Work set: object regions as the engine cuts them (`work_set`), so that a
    detector's 300 queries do not become 300 masks.
    """

    class Params(HubParams, PolygonParams):
        """Which segmenter, and how its masks become polygons. `items_per_pass` counts images."""

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels", "objects"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"masks"})
    resources = Resources(cpus=1, memory_mb=4000)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        self._loaded: Loaded | None = None

    def load(self) -> None:
        self._loaded = load(
            self.params,
            role="masks for boxes",
            auto_model="AutoModelForMaskGeneration",
            kinds=("sam", "sam2", "sam2_video"),
        )

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._loaded is not None and self._loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """At most one mask per known object, in the order of the regions; none where the mask is empty."""
        assert self._loaded is not None, "load() comes before annotate()"
        asked = [sample for sample in batch if _objects(sample)]
        found = dict(zip(map(id, asked), self._loaded.passes.run(asked, self._prepare, self._forward), strict=True))
        return [Annotations(masks=found.get(id(sample), ())) for sample in batch]

    def _prepare(self, samples: Sequence[Sample]) -> Inputs:
        """Every image has as many boxes as the one with most: each is answered apart, and what fills up is cut."""
        assert self._loaded is not None
        most = max(len(_objects(sample)) for sample in samples)
        boxes = [[list(region.box_xyxy) for region in _objects(sample)] for sample in samples]
        inputs = self._loaded.processor(
            images=[pixels_of(sample) for sample in samples],
            input_boxes=[[*of_image, *[of_image[0]] * (most - len(of_image))] for of_image in boxes],
            input_data_format="channels_last",
            return_tensors="pt",
        )
        return {**inputs, "samples": samples}

    def _forward(self, inputs: Inputs) -> list[tuple[Mask, ...]]:
        assert self._loaded is not None
        tensors = {name: inputs[name] for name in ("pixel_values", "input_boxes")}
        output = self._loaded.forward({**tensors, "multimask_output": False})
        sizes = {name: inputs[name] for name in ("original_sizes", "reshaped_input_sizes") if name in inputs}
        return [
            tuple(self._masks(sample, output.pred_masks[i], output.iou_scores[i], {n: s[i] for n, s in sizes.items()}))
            for i, sample in enumerate(inputs["samples"])
        ]

    def _masks(self, sample: Sample, logits: Any, ious: Any, sizes: dict[str, Any]) -> Iterator[Mask]:
        """From (boxes, 1, h, w) logits and (boxes, 1) estimated IoUs of one image."""
        assert self._loaded is not None
        regions = _objects(sample)
        at_once = max(1, PIXELS_AT_ONCE // (sample.width * sample.height))
        for first in range(0, len(regions), at_once):
            some = regions[first : first + at_once]
            (planes,) = self._loaded.processor.post_process_masks(
                [logits[first : first + len(some)]], **{n: [s.tolist()] for n, s in sizes.items()}, binarize=False
            )
            for region, iou, plane in zip(some, ious[first : first + len(some), 0].tolist(), planes[:, 0], strict=True):
                mask = self._mask(region, iou, plane, (0.0, 0.0, float(sample.width), float(sample.height)))
                if mask is not None:
                    yield mask

    def _mask(self, region: Region, iou: float, plane: Any, frame: tuple[float, float, float, float]) -> Mask | None:
        """The mask of one (height, width) plane of logits; None where nothing of it is above 0."""
        polygons = outlines((plane > 0).cpu().numpy(), (0, 0), frame, self.params)
        if not polygons:
            return None
        stability = (plane > STABILITY_OFFSET).sum().item() / (plane > -STABILITY_OFFSET).sum().item()
        return Mask(subject_id=region.id, polygons=polygons, score=iou * stability)


def _objects(sample: Sample) -> list[Region]:
    return [region for region in sample.known.regions if region.kind == "object"]
