"""What Florence-2 is asked for each task, and what a task reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from fld_engine.annotators.hub import florence2_answers as answers
from fld_engine.annotators.hub.florence2_answers import Reader
from fld_engine.annotators.parse.noun_chunks import unlocated_phrases
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Granularity, RegionTextKind
from fld_engine.schemas.kinds import Kind
from fld_engine.schemas.target_language import location_tokens, normalise_label, normalise_text, write_prompt
from fld_engine.schemas.tasks import Task

GRANULARITY: dict[Task, Granularity] = {
    "<CAPTION>": "brief",
    "<DETAILED_CAPTION>": "detailed",
    "<MORE_DETAILED_CAPTION>": "more_detailed",
}
REGION_TEXT: dict[Task, RegionTextKind] = {
    "<REGION_TO_CATEGORY>": "phrase",
    "<REGION_TO_DESCRIPTION>": "brief",
    "<REGION_TO_OCR>": "ocr",
}
PRODUCES: dict[Task, frozenset[Kind]] = {
    "<CAPTION>": frozenset({"brief_texts"}),
    "<DETAILED_CAPTION>": frozenset({"detailed_texts"}),
    "<MORE_DETAILED_CAPTION>": frozenset({"detailed_texts"}),
    "<OD>": frozenset({"objects"}),
    "<DENSE_REGION_CAPTION>": frozenset({"objects", "region_briefs"}),
    "<OCR_WITH_REGION>": frozenset({"scene_text"}),
    "<OPEN_VOCABULARY_DETECTION>": frozenset({"objects"}),
    "<CAPTION_TO_PHRASE_GROUNDING>": frozenset({"groundings"}),
    "<REFERRING_EXPRESSION_SEGMENTATION>": frozenset({"groundings"}),
    "<REGION_TO_SEGMENTATION>": frozenset({"masks"}),
    "<REGION_TO_CATEGORY>": frozenset({"region_categories"}),
    "<REGION_TO_DESCRIPTION>": frozenset({"region_briefs"}),
    "<REGION_TO_OCR>": frozenset({"region_readings"}),
}
"""Tasks that an annotator can do: all but `<OCR>`, whose words `<OCR_WITH_REGION>` gives with their places, and
`<REGION_PROPOSAL>`, whose boxes have no name."""
REQUIRES: dict[Task, frozenset[Kind]] = {
    "<CAPTION_TO_PHRASE_GROUNDING>": frozenset({"brief_texts"}),
    "<REFERRING_EXPRESSION_SEGMENTATION>": frozenset({"brief_texts", "tokens"}),
    "<REGION_TO_SEGMENTATION>": frozenset({"objects"}),
    "<REGION_TO_CATEGORY>": frozenset({"objects"}),
    "<REGION_TO_DESCRIPTION>": frozenset({"objects"}),
    "<REGION_TO_OCR>": frozenset({"scene_text"}),
}
"""What a task reads of an image beside its pixels; those about texts read detailed ones, too, where there are any."""


@dataclass(frozen=True, slots=True)
class Question:
    """One prompt about image number `index` of a batch; `read` makes annotations of its answer."""

    index: int
    sample: Sample
    task: Task
    prompt: str
    read: Reader


def questions(
    index: int, sample: Sample, task: Task, vocabulary: tuple[str, ...], max_phrases: int
) -> Iterator[Question]:
    """The prompts of a task about one image, in the order of what they are about.

    What the target language has no words for, such as a text with a `<`, is not asked.
    """
    for input_, read in _inputs(sample, task, vocabulary, max_phrases):
        if input_ or (task not in REQUIRES and task != "<OPEN_VOCABULARY_DETECTION>"):
            yield Question(index, sample, task, write_prompt(task, input_), read)


def _inputs(sample: Sample, task: Task, vocabulary: tuple[str, ...], max_phrases: int) -> Iterator[tuple[str, Reader]]:
    """The input of each prompt, empty where it cannot be said or the task takes none, and how its answer is read."""
    known, image_wh = sample.known, (sample.width, sample.height)
    if task in GRANULARITY:
        yield "", partial(answers.read_text, granularity=GRANULARITY[task])
    elif task in ("<OD>", "<DENSE_REGION_CAPTION>"):
        yield "", partial(answers.read_regions, task=task, image_wh=image_wh)
    elif task == "<OCR_WITH_REGION>":
        yield "", partial(answers.read_scene_text, image_wh=image_wh)
    elif task == "<OPEN_VOCABULARY_DETECTION>":
        for name in vocabulary:
            yield normalise_label(name), partial(answers.read_regions, task=task, image_wh=image_wh, name=name)
    elif task == "<CAPTION_TO_PHRASE_GROUNDING>":
        for text in known.texts:
            yield normalise_text(text.text), partial(answers.read_grounding, text=text, image_wh=image_wh)
    elif task == "<REFERRING_EXPRESSION_SEGMENTATION>":
        for phrase in list(unlocated_phrases(known))[:max_phrases]:
            input_ = normalise_label(phrase.phrase)
            yield input_, partial(answers.read_reference, phrase=phrase, image_wh=image_wh)
    else:
        kind = "text" if task == "<REGION_TO_OCR>" else "object"
        for region in known.regions:
            if region.kind == kind:
                read: Reader = partial(answers.read_mask, region=region, image_wh=image_wh)
                if task in REGION_TEXT:
                    read = partial(answers.read_region_text, region=region, kind=REGION_TEXT[task])
                yield location_tokens(region.box_xyxy, image_wh), read
