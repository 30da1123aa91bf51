"""Answers of Florence-2 as annotations, each with the probability of the tokens that say it.

A box has the score of its location tokens, a label or a text that of its words: the geometric mean of their
probabilities. What the answer says incompletely, or says a second time in the same words, is passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from fld_engine.annotators.checkpoints.generation import Generated
from fld_engine.annotators.common.confidence import confidence
from fld_engine.engine.data.geometry import quad_bounds
from fld_engine.schemas.annotations import (
    Annotations,
    Box,
    Granularity,
    Mask,
    Phrase,
    PhraseRegion,
    Region,
    RegionText,
    RegionTextKind,
    Text,
)
from fld_engine.schemas.spelling import find_spelt
from fld_engine.schemas.target_language import Heard, hear_answer, normalise_label
from fld_engine.schemas.tasks import Task

Span = tuple[int, int]
ImageWH = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """Generated words, and the probabilities of the tokens that say each stretch [start, end) of them."""

    text: str
    stretches: tuple[tuple[int, int, tuple[float, ...]], ...]

    def score(self, span: Span | None = None) -> float:
        """Geometric mean of the probabilities of the tokens in a span, without one in all of the answer."""
        first, last = span or (0, len(self.text))
        return confidence(
            [p for start, end, chances in self.stretches if start < last and end > first for p in chances]
        )


Reader = Callable[[Answer], Annotations]


def spelled(answer: Generated, tokenizer: Any) -> Answer:
    """The text of generated tokens. Words between two special tokens are decoded together, as letters share tokens."""
    special = set(tokenizer.added_tokens_decoder)
    text, stretches = "", []
    numbered = enumerate(zip(answer.ids, answer.probabilities, strict=True))
    for _, run in groupby(numbered, key=lambda row: row[0] if row[1][0] in special else -1):
        ids, chances = zip(*(spoken for _, spoken in run), strict=True)
        words = tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        stretches.append((len(text), len(text) + len(words), chances))
        text += words
    return Answer(text, tuple(stretches))


def read_text(answer: Answer, granularity: Granularity) -> Annotations:
    """A text of the image; none where nothing is said."""
    words = answer.text.strip()
    return Annotations(texts=(Text(granularity=granularity, text=words, score=answer.score()),) if words else ())


def read_regions(answer: Answer, task: Task, image_wh: ImageWH, name: str = "") -> Annotations:
    """Objects with their categories or descriptions, and masks where there are any; `name` overrides the label."""
    kind: RegionTextKind = "brief" if task == "<DENSE_REGION_CAPTION>" else "phrase"
    regions = []
    for heard in _once(hear_answer(task, answer.text, image_wh)):
        box, score = _box(heard), answer.score(heard.location_span)
        if box is not None:
            label = RegionText(kind=kind, text=name or heard.instance.label, score=answer.score(heard.label_span))
            masks = _masks(heard, score)
            regions.append(Region(kind="object", box_xyxy=box, score=score, texts=(label,), masks=masks))
    return Annotations(regions=tuple(regions))


def read_scene_text(answer: Answer, image_wh: ImageWH) -> Annotations:
    """Quadrilaterals with what is read in them."""
    regions = []
    for heard in _once(hear_answer("<OCR_WITH_REGION>", answer.text, image_wh)):
        box, score = _box(heard), answer.score(heard.location_span)
        if box is not None:
            read = RegionText(kind="ocr", text=heard.instance.label, score=answer.score(heard.label_span))
            quad: Any = heard.instance.shapes[0]
            regions.append(Region(kind="text", box_xyxy=box, quad=quad, score=score, texts=(read,)))
    return Annotations(regions=tuple(regions))


def read_grounding(answer: Answer, text: Text, image_wh: ImageWH) -> Annotations:
    """Phrases of a text with their boxes, found in it one after the other; what is not in it is passed over."""
    phrases = []
    end = 0
    heard = _once(hear_answer("<CAPTION_TO_PHRASE_GROUNDING>", answer.text, image_wh))
    for span, boxes in groupby(heard, key=lambda one: one.label_span):
        regions = tuple(_phrase_regions(answer, boxes))
        place = find_spelt(text.text, normalise_label(answer.text[slice(*span)]), end)
        if place is not None and regions:
            start, end = place
            phrase, score = text.text[start:end], answer.score(span)
            phrases.append(Phrase(text_id=text.id, phrase=phrase, start=start, end=end, score=score, regions=regions))
    return Annotations(phrases=tuple(phrases))


def read_reference(answer: Answer, phrase: Phrase, image_wh: ImageWH) -> Annotations:
    """A phrase with the masks of what it refers to; without any it is written with score 0."""
    heard = _once(hear_answer("<REFERRING_EXPRESSION_SEGMENTATION>", answer.text, image_wh))
    regions = tuple(_phrase_regions(answer, heard))
    score = max((region.score for region in regions), default=0.0)
    return Annotations(phrases=(phrase.model_copy(update={"regions": regions, "score": score}),))


def read_region_text(answer: Answer, region: Region, kind: RegionTextKind) -> Annotations:
    """What is said of a known region; nothing where the answer is empty."""
    words = answer.text.strip()
    if not words:
        return Annotations()
    return Annotations(region_texts=(RegionText(region_id=region.id, kind=kind, text=words, score=answer.score()),))


def read_mask(answer: Answer, region: Region, image_wh: ImageWH) -> Annotations:
    """The mask of a known region: all polygons of the answer together."""
    heard = hear_answer("<REGION_TO_SEGMENTATION>", answer.text, image_wh)
    polygons = tuple(shape for one in heard for shape in one.instance.shapes)
    if not polygons:
        return Annotations()
    return Annotations(masks=(Mask(subject_id=region.id, polygons=polygons, score=answer.score()),))


def _once(heard: Iterable[Heard]) -> list[Heard]:
    """Without what was said before with the same label and place, as models that run in circles do."""
    return list({one.instance: one for one in reversed(list(heard))}.values())[::-1]


def _box(heard: Heard) -> Box | None:
    """The box of an instance in pixels, or that around its shapes; None where it is empty or upside down."""
    (first, *_) = heard.instance.shapes
    corners = first if len(first) == 4 else quad_bounds([v for shape in heard.instance.shapes for v in shape])
    x1, y1, x2, y2 = (round(v, 2) for v in corners)
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def _masks(heard: Heard, score: float) -> tuple[Mask, ...]:
    """The polygons of an instance that has some."""
    shapes = heard.instance.shapes
    return () if len(shapes[0]) == 4 else (Mask(polygons=shapes, score=score),)


def _phrase_regions(answer: Answer, heard: Iterable[Heard]) -> Iterator[PhraseRegion]:
    for one in heard:
        box, score = _box(one), answer.score(one.location_span)
        if box is not None:
            yield PhraseRegion(box_xyxy=box, score=score, masks=_masks(one, score))
