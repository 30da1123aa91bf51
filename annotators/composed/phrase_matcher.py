"""Grounding by names: the noun chunks of every text matched to the regions that detectors have found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from fld_engine.annotators.common.libraries import SENTENCES
from fld_engine.annotators.common.places import place
from fld_engine.annotators.composed.english import quotable
from fld_engine.annotators.composed.lexicon import NOT_OF_THEIR_HEAD, SYNONYMS
from fld_engine.annotators.packaged.minilm import MiniLM
from fld_engine.annotators.parse.noun_chunks import Chunk, noun_chunks
from fld_engine.engine.data.records import ModelIdentity
from fld_engine.engine.plan.protocols import Resources, Sample
from fld_engine.schemas.annotations import Annotations, Frozen, Phrase, PhraseRegion, Region, Text
from fld_engine.schemas.kinds import Kind

SYNONYM_SCORE = 0.9
"""A synonym or a kind fits nearly as well as the class's own name (ours)."""


class PhraseMatcher:
    """Writes one phrase per noun chunk, and one per piece of read text that a text quotes.

    A phrase's score is how well its noun names its regions: 1 for the class itself, 0.9 for a known synonym, the
    cosine of both names otherwise, and 0 for a phrase without regions, which is written all the same. A region's score
    is that times the region's own.
    """

    class Params(Frozen):
        """When two names mean the same."""

        min_similarity: float = Field(
            default=0.7,
            ge=-1,
            le=1,
            description="cosine of names; ours: sofa and couch 0.86, car and truck 0.69, dog and cat 0.66",
        )
        min_quoted_chars: int = Field(default=3, gt=0, description="shorter read text is not looked for in texts; ours")

    version = 1
    requires: frozenset[Kind] = frozenset({"brief_texts", "tokens", "objects"})
    optional: frozenset[Kind] = frozenset({"detailed_texts", "scene_text"})
    produces: frozenset[Kind] = frozenset({"groundings"})
    resources = Resources(cpus=1, memory_mb=400)
    batch_size = 32
    libraries: ClassVar[tuple[str, ...]] = SENTENCES
    model = ModelIdentity(**{**MiniLM.model.model_dump(), "id": f"phrase-matcher({MiniLM.model.id})"})
    packaged: ClassVar[tuple[str, ...]] = ("minilm",)

    def __init__(self, params: Params | None = None) -> None:
        self.params = params or self.Params()
        self._embedder = MiniLM()

    def load(self) -> None:
        self._embedder.load()

    def annotate(self, batch: Sequence[Sample]) -> Sequence[Annotations]:
        """Phrases text by text, each in the order of the text; those of composed texts are marked as derived."""
        return [
            Annotations(phrases=tuple(phrase for text in sample.known.texts for phrase in self._ground(text, sample)))
            for sample in batch
        ]

    def _ground(self, text: Text, sample: Sample) -> list[Phrase]:
        tokens = sorted((t for t in sample.known.tokens if t.text_id == text.id), key=lambda token: token.index)
        phrases = list(self._quotations(text, sample.known.regions))
        for chunk in noun_chunks(tokens):
            if all(chunk.end <= phrase.start or chunk.start >= phrase.end for phrase in phrases):
                phrases.append(self._ground_chunk(text, chunk, sample))
        return sorted(phrases, key=lambda phrase: phrase.start)

    def _ground_chunk(self, text: Text, chunk: Chunk, sample: Sample) -> Phrase:
        objects = [region for region in sample.known.regions if region.kind == "object" and region.texts]
        matches = [self._match(chunk, " ".join(region.texts[0].text.lower().split())) for region in objects]
        best = max(matches, default=0.0)
        named = [region for region, match in zip(objects, matches, strict=True) if match == best > 0]
        meant = _narrowed(chunk, named, (sample.width, sample.height))
        return _phrase(text, chunk.start, chunk.end, best, meant)

    def _match(self, chunk: Chunk, name: str) -> float:
        """How well the noun of a chunk names a class of regions, 0 where it does not."""
        if chunk.head.pos not in ("NOUN", "PROPN") or not name:
            return 0.0
        words, name_words = chunk.lemmas, tuple(name.split())
        if words[-len(name_words) :] == name_words:
            idiom = " ".join(words[-2:])
            return 0.0 if idiom in NOT_OF_THEIR_HEAD and idiom != name else 1.0
        noun = chunk.noun
        is_compound = any(token.dep == "compound" for token in chunk.tokens)
        if name_words[-1] == noun and name in NOT_OF_THEIR_HEAD:
            return 0.0
        if name == noun or (name_words[-1] == noun and not is_compound):
            return 1.0
        if name in SYNONYMS.get(noun, ()):
            return SYNONYM_SCORE
        pair = self._embedder.embed([noun, name])
        cosine = round(float(pair[0] @ pair[1]), 4)
        return cosine if cosine >= self.params.min_similarity else 0.0

    def _quotations(self, text: Text, regions: Sequence[Region]) -> Iterator[Phrase]:
        """Read texts that stand in a text as whole words, each with all regions that read so."""
        readings: dict[str, list[Region]] = {}
        for region in regions:
            read = quotable(region.texts[0].text) if region.kind == "text" and region.texts else ""
            if len(read) >= self.params.min_quoted_chars:
                readings.setdefault(read, []).append(region)
        taken: list[tuple[int, int]] = []
        for read in sorted(readings, key=lambda words: (-len(words), words)):
            found = re.search(rf"(?<!\w){re.escape(read)}(?!\w)", text.text)
            if found and all(found.end() <= start or found.start() >= end for start, end in taken):
                taken.append(found.span())
                yield _phrase(text, *found.span(), 1.0, readings[read])


def _narrowed(chunk: Chunk, regions: Sequence[Region], image_wh: tuple[int, int]) -> list[Region]:
    """The regions that are where the text says, if any are, and of these as many of the best as it speaks of."""
    width, height = image_wh
    placed = []
    for region in regions:
        x1, y1, x2, y2 = region.box_xyxy
        side, level = place((x1 / width, y1 / height, x2 / width, y2 / height))
        if chunk.side in (None, side) and chunk.level in (None, level):
            placed.append(region)
    by_score = sorted(placed or regions, key=lambda region: -region.score)
    return by_score[: chunk.limit]


def _phrase(text: Text, start: int, end: int, score: float, regions: Sequence[Region]) -> Phrase:
    return Phrase(
        text_id=text.id,
        phrase=text.text[start:end],
        start=start,
        end=end,
        score=score,
        derived=text.composed,
        regions=tuple(
            PhraseRegion(box_xyxy=region.box_xyxy, score=score * region.score, region_id=region.id)
            for region in regions
        ),
    )
