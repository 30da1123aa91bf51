"""Dual encoders of a model hub: SigLIP, SigLIP 2 and CLIP, which put pictures and texts into one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.checkpoints.passes import Inputs
from fld_engine.annotators.common.crops import crop, pixels_of
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.engine.data.geometry import Floats
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Similarity
from fld_engine.schemas.kinds import Kind

Pair = tuple[RGB, list[tuple[str, str]]]
"""A picture, and (id, text) of everything that is said of it."""


class HubDualEncoder:
    """Ranks the phrase, briefs and noun chunks of every object against its crop, and every text against the image.

    A similarity is the cosine of both vectors: not comparable between checkpoints. A text that is longer than the
    checkpoint reads (CLIP 77 tokens, SigLIP 64) is judged by its beginning. Work set: object regions as the engine cuts
    them (`work_set`), one crop each.
    """

    class Params(HubParams):
        """Which encoder, and what it ranks. `items_per_pass` counts crops, or texts."""

        regions: bool = Field(default=True, description="rank region texts against crops")
        texts: bool = Field(default=True, description="rank texts against the whole image")

        @model_validator(mode="after")
        def _ranks_something(self) -> Self:
            if not (self.regions or self.texts):
                raise ValueError("regions and texts are both false: there is nothing to rank")
            return self

    version = 1
    produces: frozenset[Kind] = frozenset({"similarities"})
    resources = Resources(cpus=1, memory_mb=3000)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        required: frozenset[Kind] = frozenset({"objects"} if params.regions else {"brief_texts"})
        readable: frozenset[Kind] = frozenset({"brief_texts", "detailed_texts"} if params.texts else ())
        described: frozenset[Kind] = frozenset({"region_briefs", "region_chunks"} if params.regions else ())
        self.requires = required | {"pixels"}
        self.optional = (readable | described) - required
        self._loaded: Loaded | None = None

    def load(self) -> None:
        self._loaded = load(
            self.params,
            role="ranking of texts against pictures",
            auto_model="AutoModel",
            kinds=("clip", "siglip", "siglip2"),
        )

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._loaded is not None and self._loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Region by region in given order, its own texts first, then its briefs and chunks; then text by text."""
        of_sample = [self._pairs(sample) for sample in batch]
        pairs = [pair for of_image in of_sample for pair in of_image]
        said = list(dict.fromkeys(text for _, candidates in pairs for _, text in candidates))
        vector_of = dict(zip(said, self._encode_texts(said), strict=True))
        pictures = iter(self._encode_images([picture for picture, _ in pairs]))
        found = []
        for of_image in of_sample:
            similarities: list[Similarity] = []
            for (_, candidates), picture in zip(of_image, pictures, strict=False):
                similarities += [Similarity(subject_id=i, score=float(vector_of[t] @ picture)) for i, t in candidates]
            found.append(Annotations(similarities=tuple(similarities)))
        return found

    def _pairs(self, sample: Sample) -> list[Pair]:
        known, pixels = sample.known, pixels_of(sample)
        pairs: list[Pair] = []
        for region in known.regions if self.params.regions else ():
            own = [(text.id, text.text) for text in region.texts if text.kind == "phrase"]
            more = [t for t in known.region_texts if t.region_id == region.id and t.kind in ("brief", "chunk")]
            if region.kind == "object" and (own or more):
                pairs.append((crop(pixels, region.box_xyxy), own + [(text.id, text.text) for text in more]))
        if self.params.texts and known.texts:
            pairs.append((pixels, [(text.id, text.text) for text in known.texts]))
        return pairs

    def _encode_images(self, pictures: Sequence[RGB]) -> list[Floats]:
        assert self._loaded is not None, "load() comes before annotate()"
        return self._loaded.passes.run(pictures, self._loaded.pixels, lambda i: self._unit(i, "get_image_features"))

    def _encode_texts(self, texts: Sequence[str]) -> list[Floats]:
        assert self._loaded is not None, "load() comes before annotate()"
        return self._loaded.passes.run(texts, self._tokens, lambda i: self._unit(i, "get_text_features"))

    def _tokens(self, texts: Sequence[str]) -> Inputs:
        """Padded to the longest that the checkpoint reads, as SigLIP was trained."""
        assert self._loaded is not None
        longest = self._loaded.model.config.text_config.max_position_embeddings
        options = {"padding": "max_length", "truncation": True, "max_length": longest}
        return dict(self._loaded.processor.tokenizer(list(texts), **options, return_tensors="pt"))

    def _unit(self, inputs: Inputs, method: str) -> list[Floats]:
        """Vectors of length 1."""
        assert self._loaded is not None
        vectors = self._loaded.forward(inputs, method).pooler_output.cpu().numpy().astype(np.float64)
        return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
