"""A student trained on a few images for a minute is the judge; the labels it is asked about are right or wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.refinement.scenes import LABELS
from refinement.scoring import NOT_ASKED, Scorer
from refinement.student import encode, encode_targets
from refinement.training import TrainingConfig, train
from schemas.target_language import write_prompt
from tests.refinement.tiny import scenes, student, training_set

SCENES = scenes(6)


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """It has learned six images by heart, which is all that judging them takes."""
    taught = student(tmp_path_factory.mktemp("student"))
    config = TrainingConfig(
        num_steps=150, batch_images=6, learning_rate=5e-3, warmup_steps=10, task_weights={"<CAPTION>": 2.0}
    )
    train(taught, training_set(6), config)
    return Scorer(taught, batch_size=4)


def test_swapped_name_is_less_likely_than_the_true_one(scorer: Scorer) -> None:
    hits, total = 0, 0
    for scene in SCENES:
        boxes = np.array([thing.box_xyxy for thing in scene.things])
        wrong = [LABELS[(LABELS.index(thing.label) + 1) % len(LABELS)] for thing in scene.things]
        for thing, score in zip(scene.things, scorer.regions(scene.pixels, boxes, wrong, LABELS), strict=True):
            hits += score.rival == thing.label and score.p_rival > score.label
            total += 1
    assert hits > 0.7 * total


def test_names_of_a_box_share_one_probability(scorer: Scorer) -> None:
    scene = SCENES[0]
    (likely,) = scorer.names(scene.pixels, np.array([scene.things[0].box_xyxy]), list(LABELS))
    assert sum(likely.values()) == pytest.approx(1.0, abs=1e-5)
    assert likely.keys() == set(LABELS)


def test_true_boxes_are_better_supported_than_boxes_elsewhere(scorer: Scorer) -> None:
    true, moved = [], []
    for scene in SCENES:
        boxes = np.array([thing.box_xyxy for thing in scene.things])
        labels = [thing.label for thing in scene.things]
        true += scorer.boxes(scene.pixels, boxes, labels)
        size = scene.pixels.shape[0]
        moved += scorer.boxes(scene.pixels, np.clip(size - boxes[:, [2, 3, 0, 1]], 0, size), labels)
    assert all(0 <= score <= 1 for score in [*true, *moved])
    assert np.mean(true) > 2 * np.mean(moved)


def test_box_scores_go_to_their_own_rows(scorer: Scorer) -> None:
    """The answer says boxes in raster order; the scores must come back in the order they were asked in."""
    scene = next(scene for scene in SCENES if len(scene.things) == 2)
    boxes = np.array([thing.box_xyxy for thing in scene.things])
    labels = [thing.label for thing in scene.things]
    forward = scorer.boxes(scene.pixels, boxes, labels)
    assert scorer.boxes(scene.pixels, boxes[::-1], labels[::-1]) == pytest.approx(forward[::-1], rel=1e-3)


def test_true_caption_is_likelier_than_another_image_s(scorer: Scorer) -> None:
    own = [scorer.texts(scene.pixels, [("brief", scene.caption)])[0] for scene in SCENES]
    other = [scorer.texts(scene.pixels, [("brief", SCENES[i - 1].caption)])[0] for i, scene in enumerate(SCENES)]
    assert np.mean(own) > np.mean(other)


def test_what_cannot_be_said_is_not_scored(scorer: Scorer) -> None:
    scene = SCENES[0]
    box = np.array([[1.0, 1.0, 9.0, 9.0]])
    assert scorer.texts(scene.pixels, [("brief", "a < b")]) == [NOT_ASKED]
    assert scorer.boxes(scene.pixels, box, ["日本"]) == [NOT_ASKED]
    assert scorer.regions(scene.pixels, np.zeros((0, 4)), [], LABELS) == []


def test_likelihood_is_the_model_s_own_loss(scorer: Scorer) -> None:
    """Checked against the loss that transformers computes for the same question and answer."""
    scene = SCENES[0]
    taught = scorer._student
    inputs = encode(taught, [scene.pixels], [(0, write_prompt("<CAPTION>"))])
    labels = encode_targets(taught, [scene.caption])
    inputs.pop("image_rows")
    logits = taught.model(**inputs, labels=labels).logits.log_softmax(dim=-1)
    tokens = logits[0, 1:].gather(1, labels[0, 1:, None])[:, 0]  # without the start mark
    (score,) = scorer.texts(scene.pixels, [("brief", scene.caption)])
    assert score == pytest.approx(tokens.mean().exp().item(), rel=1e-4)
