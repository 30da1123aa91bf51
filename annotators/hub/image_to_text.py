"""Image captioners of a model hub: BLIP, GIT and kin, which say one sentence about a picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Self

from pydantic import Field, model_validator

from fld_engine.annotators.checkpoints.generation import GenerationParams, generate
from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.common.crops import crop, pixels_of
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Region, RegionText, Text
from fld_engine.schemas.kinds import Kind


class HubImageToText:
    """Writes the brief text of an image, or of the crop of every object, or both.

    A text's score is the geometric mean of its tokens' probabilities. An empty answer is no text. Work set: object
    regions as the engine cuts them (`work_set`), one crop each.
    """

    class Params(GenerationParams):
        """Which captioner, and what it looks at. `items_per_pass` counts pictures."""

        texts: bool = Field(default=True, description="describe the image")
        regions: bool = Field(default=False, description="describe the crop of every object")
        max_new_tokens: int = Field(
            default=64, gt=0, description="longest answer; ours: FLD-5B's brief texts average 8"
        )

        @model_validator(mode="after")
        def _describes_something(self) -> Self:
            if not (self.texts or self.regions):
                raise ValueError("texts and regions are both false: there is nothing to describe")
            return self

    version = 1
    optional: frozenset[Kind] = frozenset()
    resources = Resources(cpus=1, memory_mb=3000)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        seen: frozenset[Kind] = frozenset({"objects"} if params.regions else ())
        texts: frozenset[Kind] = frozenset({"brief_texts"} if params.texts else ())
        briefs: frozenset[Kind] = frozenset({"region_briefs"} if params.regions else ())
        self.requires = seen | {"pixels"}
        self.produces = texts | briefs
        self._loaded: Loaded | None = None

    def load(self) -> None:
        self._loaded = load(
            self.params,
            role="captioning",
            auto_model="AutoModelForImageTextToText",
            kinds=("blip", "blip-2", "git"),
        )

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._loaded is not None and self._loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """At most one text per image, and one brief per object in the order of the regions."""
        asked = [(i, region) for i, sample in enumerate(batch) for region in self._subjects(sample)]
        pictures = [_picture(batch[i], region) for i, region in asked]
        texts: list[list[Text]] = [[] for _ in batch]
        briefs: list[list[RegionText]] = [[] for _ in batch]
        for (i, region), (words, score) in zip(asked, self._describe(pictures), strict=True):
            if words and region is None:
                texts[i].append(Text(granularity="brief", text=words, score=score))
            elif words and region is not None:
                briefs[i].append(RegionText(region_id=region.id, kind="brief", text=words, score=score))
        return [Annotations(texts=tuple(t), region_texts=tuple(b)) for t, b in zip(texts, briefs, strict=True)]

    def _subjects(self, sample: Sample) -> list[Region | None]:
        """The image, which is None, and its objects, as far as they are to be described."""
        objects = [region for region in sample.known.regions if region.kind == "object"]
        return [*([None] if self.params.texts else []), *(objects if self.params.regions else [])]

    def _describe(self, pictures: Sequence[RGB]) -> list[tuple[str, float]]:
        """What is said of each picture, and its score."""
        loaded = self._loaded
        assert loaded is not None, "load() comes before annotate()"
        forward = partial(generate, loaded, params=self.params)
        sized = loaded.size_bucket
        answers = loaded.passes.run(pictures, loaded.pixels, forward, lambda p: sized((p.shape[1], p.shape[0])))
        return [(loaded.tokenizer.decode(a.ids, skip_special_tokens=True).strip(), a.score) for a in answers]


def _picture(sample: Sample, region: Region | None) -> RGB:
    return pixels_of(sample) if region is None else crop(pixels_of(sample), region.box_xyxy)
