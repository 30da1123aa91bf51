from __future__ import annotations

import numpy as np

from fld_engine.refinement.labels.survey import Portrait, Survey, survey, survey_of
from tests.refinement.judges import images

BOXES = np.array([[0.0, 0, 10, 10], [0.0, 0, 50, 50], [20.0, 20, 30, 30], [0.0, 0, 100, 90]])
PHRASES = ["cat", "dog", "bus", "kite"]
TEXTS = ["a cat and a dog", "a bus in the rain"]


def of(boxes: np.ndarray = BOXES, phrases: list[str] = PHRASES, texts: list[str] = TEXTS) -> Portrait:
    return survey(2, boxes, np.full(len(boxes), 10_000.0), phrases, texts).portrait()


def test_entropy_is_the_bits_of_a_choice() -> None:
    assert of().phrase_entropy == 2.0
    assert of(phrases=["cat", "Cat "]).phrase_entropy == 0.0
    assert of(phrases=[]).phrase_entropy == 0.0


def test_surveys_of_parts_add_up_to_that_of_the_whole() -> None:
    """Workers survey a partition each, and finish in any order."""
    sizes = np.full(len(BOXES), 10_000.0)
    parts = [survey(1, BOXES[i::2], sizes[i::2], PHRASES[i::2], TEXTS[i::2]) for i in range(2)]
    assert sum(parts, start=Survey()).portrait() == sum(parts[::-1], start=Survey()).portrait() == of()


def test_a_survey_leaves_gold_images_out() -> None:
    found = survey_of(images())
    assert found.num_images == sum(not image.gold_split for image in images()) < len(images())
    assert sum(found.areas) == sum(len(image.regions) for image in images() if not image.gold_split)
