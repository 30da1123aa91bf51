"""The fifteen tasks of the Florence-2 target language: their prompts and the shape of their answers.

Prompts, answer kinds and banned phrases are those of the published models, as `transformers` spells them
(`Florence2Processor`, and the `post_processor_config` stored with `florence-community/Florence-2-base`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Task = Literal[
    "<CAPTION>",
    "<DETAILED_CAPTION>",
    "<MORE_DETAILED_CAPTION>",
    "<OD>",
    "<DENSE_REGION_CAPTION>",
    "<REGION_PROPOSAL>",
    "<OCR>",
    "<OCR_WITH_REGION>",
    "<CAPTION_TO_PHRASE_GROUNDING>",
    "<OPEN_VOCABULARY_DETECTION>",
    "<REFERRING_EXPRESSION_SEGMENTATION>",
    "<REGION_TO_SEGMENTATION>",
    "<REGION_TO_CATEGORY>",
    "<REGION_TO_DESCRIPTION>",
    "<REGION_TO_OCR>",
]

Answer = Literal[
    "text",  # words only
    "labelled_boxes",  # label, then 4 locations per box
    "grounded_phrases",  # the same, except that banned phrases are not spoken
    "boxes",  # 4 locations per box
    "quads",  # label, then 8 locations, for every quadrilateral
    "polygons",  # locations of each polygon of each instance
    "boxes_or_polygons",  # labelled boxes, or labelled polygons, never both in one answer
]


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """How a task is asked and answered. `prompt` has the placeholder `{input}` where the task needs an input."""

    prompt: str
    answer: Answer

    @property
    def takes_input(self) -> bool:
        return "{input}" in self.prompt


TASKS: dict[Task, TaskSpec] = {
    "<CAPTION>": TaskSpec("What does the image describe?", "text"),
    "<DETAILED_CAPTION>": TaskSpec("Describe in detail what is shown in the image.", "text"),
    "<MORE_DETAILED_CAPTION>": TaskSpec("Describe with a paragraph what is shown in the image.", "text"),
    "<OD>": TaskSpec("Locate the objects with category name in the image.", "labelled_boxes"),
    "<DENSE_REGION_CAPTION>": TaskSpec("Locate the objects in the image, with their descriptions.", "labelled_boxes"),
    "<REGION_PROPOSAL>": TaskSpec("Locate the region proposals in the image.", "boxes"),
    "<OCR>": TaskSpec("What is the text in the image?", "text"),
    "<OCR_WITH_REGION>": TaskSpec("What is the text in the image, with regions?", "quads"),
    "<CAPTION_TO_PHRASE_GROUNDING>": TaskSpec("Locate the phrases in the caption: {input}", "grounded_phrases"),
    "<OPEN_VOCABULARY_DETECTION>": TaskSpec("Locate {input} in the image.", "boxes_or_polygons"),
    "<REFERRING_EXPRESSION_SEGMENTATION>": TaskSpec("Locate {input} in the image with mask", "polygons"),
    "<REGION_TO_SEGMENTATION>": TaskSpec("What is the polygon mask of region {input}", "polygons"),
    "<REGION_TO_CATEGORY>": TaskSpec("What is the region {input}?", "text"),
    "<REGION_TO_DESCRIPTION>": TaskSpec("What does the region {input} describe?", "text"),
    "<REGION_TO_OCR>": TaskSpec("What text is in the region {input}?", "text"),
}

BANNED_PHRASES: frozenset[str] = frozenset(
    {
        "it", "I", "me", "mine", "you", "your", "yours", "he", "him", "his", "she", "her", "hers", "they", "them",
        "their", "theirs", "one", "oneself", "we", "us", "our", "ours", "its", "myself", "yourself", "himself",
        "herself", "itself", "ourselves", "yourselves", "themselves", "this", "that", "these", "those", "who",
        "whom", "whose", "which", "what", "all", "another", "any", "anybody", "anyone", "anything", "each",
        "everybody", "everyone", "everything", "few", "many", "nobody", "none", "several", "some", "somebody",
        "someone", "something", "each other", "one another", "the image", "image", "images", "the", "a", "an",
        "a group", "other objects", "lots", "a set",
    }
)  # fmt: skip
"""Phrases that the published post-processor drops from an answer to `<CAPTION_TO_PHRASE_GROUNDING>`, matched whole."""
