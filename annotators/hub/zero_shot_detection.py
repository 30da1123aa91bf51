"""Zero-shot detectors of a model hub: Grounding DINO, MM Grounding DINO, OWL-ViT and OWLv2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from fld_engine.annotators.checkpoints.loading import Loaded, load
from fld_engine.annotators.checkpoints.params import HubParams
from fld_engine.annotators.checkpoints.passes import Inputs
from fld_engine.annotators.common.crops import pixels_of
from fld_engine.annotators.common.detections import DetectorParams, object_regions
from fld_engine.annotators.common.libraries import CHECKPOINTS
from fld_engine.annotators.hub.phrase_queries import answers_of, phrase_queries, spoken
from fld_engine.annotators.parse.noun_chunks import unlocated_phrases
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Phrase, PhraseRegion, Region
from fld_engine.schemas.kinds import Kind


@dataclass(frozen=True, slots=True)
class Question:
    """Phrases to look for together in image number `index` of a batch."""

    index: int
    sample: Sample
    phrases: list[str]


class HubZeroShotDetector:
    """Finds the noun chunks of every text, or the words of a `vocabulary`; filters decide later.

    A box belongs to the phrase that it answers best; its score is the sigmoid of its logit, with Grounding DINO the
    highest of the phrase's tokens. A phrase has the score of its best box; without any it is written with 0.
    """

    class Params(HubParams, DetectorParams):
        """Which detector, what it looks for, and how much of it."""

        vocabulary: tuple[str, ...] = Field(default=(), description="look for these instead of the texts' phrases")
        max_phrases: int = Field(default=40, gt=0, description="different phrases per image at most, in order; ours")
        max_regions_per_phrase: int = Field(default=10, gt=0, description="boxes of a phrase at most, best first; ours")

    version = 1
    resources = Resources(cpus=1, memory_mb=3000)
    batch_size = 16
    libraries: ClassVar[tuple[str, ...]] = CHECKPOINTS

    def __init__(self, params: Params) -> None:
        self.params = params
        self.model = params.identity
        grounds = not params.vocabulary
        self.requires: frozenset[Kind] = frozenset({"pixels", "brief_texts", "tokens"} if grounds else {"pixels"})
        self.optional: frozenset[Kind] = frozenset({"detailed_texts"} if grounds else ())
        self.produces: frozenset[Kind] = frozenset({"groundings"} if grounds else {"objects"})
        self._loaded: Loaded | None = None

    def load(self) -> None:
        self._loaded = load(
            self.params,
            role="zero-shot object detection",
            auto_model="AutoModelForZeroShotObjectDetection",
            kinds=("grounding-dino", "mm-grounding-dino", "owlvit", "owlv2"),
        )
        self._queries = phrase_queries(self._loaded.model, self._loaded.processor)

    @property
    def reduced(self) -> bool:
        """Whether passes are smaller than asked for, for want of memory."""
        return self._loaded is not None and self._loaded.passes.reduced

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Object regions of the vocabulary by falling score; or phrases text by text, in the order of the text."""
        if self.params.vocabulary:
            words = _different(self.params.vocabulary, len(self.params.vocabulary))
            return [Annotations(regions=regions) for regions in self._detect(batch, [words] * len(batch))]
        phrases = [list(unlocated_phrases(sample.known)) for sample in batch]
        asked = [_different((phrase.phrase for phrase in p), self.params.max_phrases) for p in phrases]
        found = self._detect(batch, asked)
        return [Annotations(phrases=tuple(self._grounded(*of))) for of in zip(phrases, asked, found, strict=True)]

    def _detect(self, batch: Sequence[Sample], asked: Sequence[Sequence[str]]) -> list[tuple[Region, ...]]:
        """Regions of each image by falling score, whose text is the phrase asked for."""
        assert self._loaded is not None, "load() comes before annotate()"
        questions = [
            Question(i, sample, chunk)
            for i, (sample, phrases) in enumerate(zip(batch, asked, strict=True))
            for chunk in self._queries.chunks(phrases)
        ]
        sized = self._loaded.size_bucket
        answers = self._loaded.passes.run(
            questions, self._prepare, self._forward, lambda q: sized((q.sample.width, q.sample.height))
        )
        found: list[list[tuple[Any, float, str]]] = [[] for _ in batch]
        for question, boxes in zip(questions, answers, strict=True):
            found[question.index] += [(box, score, question.phrases[number]) for box, score, number in boxes]
        return [self._regions(*of) for of in zip(batch, asked, found, strict=True)]

    def _prepare(self, questions: Sequence[Question]) -> Inputs:
        assert self._loaded is not None
        texts, columns = self._queries.encode([question.phrases for question in questions])
        pixels = self._loaded.pixels([pixels_of(question.sample) for question in questions])
        sizes = [(question.sample.height, question.sample.width) for question in questions]
        return {**texts, **pixels, "columns": columns, "sizes": sizes}

    def _forward(self, inputs: Inputs) -> list[list[tuple[Any, float, int]]]:
        """For each question its boxes in pixels, their scores, and which of its phrases they answer."""
        import torch

        assert self._loaded is not None
        output = self._loaded.forward({name: v for name, v in inputs.items() if isinstance(v, torch.Tensor)})
        logits = [answers_of(*of) for of in zip(output.logits, inputs["columns"], strict=True)]
        found = []
        for of_image, boxes, size in zip(logits, output.pred_boxes, inputs["sizes"], strict=True):
            (answer,) = self._loaded.image_processor.post_process_object_detection(
                SimpleNamespace(logits=of_image[None], pred_boxes=boxes[None]),
                threshold=self.params.min_score,
                target_sizes=[size],
            )
            found.append(list(zip(*(answer[name].tolist() for name in ("boxes", "scores", "labels")), strict=True)))
        return found

    def _regions(
        self, sample: Sample, asked: Sequence[str], found: Sequence[tuple[Any, float, str]]
    ) -> tuple[Region, ...]:
        return object_regions(
            np.array([box for box, _, _ in found], dtype=np.float64).reshape(-1, 4),
            np.array([score for _, score, _ in found], dtype=np.float64),
            np.array([asked.index(phrase) for _, _, phrase in found], dtype=np.int64),
            (sample.width, sample.height),
            self.params,
            dict(enumerate(asked)),
        )

    def _grounded(self, phrases: Sequence[Phrase], asked: Sequence[str], found: Sequence[Region]) -> Iterator[Phrase]:
        """The phrases that were asked for with their regions, best first."""
        for phrase in phrases:
            if spoken(phrase.phrase) in asked:
                named = [region for region in found if region.texts[0].text == spoken(phrase.phrase)]
                named = named[: self.params.max_regions_per_phrase]
                best = tuple(PhraseRegion(box_xyxy=region.box_xyxy, score=region.score) for region in named)
                yield phrase.model_copy(update={"regions": best, "score": best[0].score if best else 0.0})


def _different(phrases: Iterable[str], most: int) -> list[str]:
    """What is said for the phrases, each once, in order."""
    return list(dict.fromkeys(filter(None, map(spoken, phrases))))[:most]
