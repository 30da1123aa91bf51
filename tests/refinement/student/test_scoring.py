"""A student trained on a few images for a minute is the judge; the labels it is asked about are right or wrong ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.refinement.scenes import LABELS
from fld_engine.engine.data.rows import RowWriter
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel
from fld_engine.refinement.labels.judgement import judgements
from fld_engine.refinement.student.annotator import annotations_of
from fld_engine.refinement.student.encoding import encode, encode_targets
from fld_engine.refinement.student.image_features import answer, extract_features
from fld_engine.refinement.student.judging import judge
from fld_engine.refinement.student.model import Student
from fld_engine.refinement.student.scoring import NOT_ASKED, Regions, Scorer
from fld_engine.refinement.training.settings import TrainingConfig
from fld_engine.refinement.training.train import train
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.tables import ANNOTATION_TABLES
from fld_engine.schemas.target_language import write_prompt
from fld_engine.schemas.tasks import Task
from tests.refinement.tiny import IMAGE_PX, scenes, student, training_set

SCENES = scenes(6)


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Student:
    """It has learned six images by heart, which is all that judging them takes."""
    taught = student(tmp_path_factory.mktemp("student"))
    config = TrainingConfig(
        num_steps=150, batch_images=6, learning_rate=5e-3, warmup_steps=10, task_weights={"<CAPTION>": 2.0}
    )
    train(taught, training_set(6), config)
    return taught


@pytest.fixture(scope="module")
def scorer(taught: Student) -> Scorer:
    """Of all six scenes at once, in batches that hold answers to several of them."""
    return Scorer(extract_features(taught, [scene.pixels for scene in SCENES]), batch_size=4)


def things(row: int) -> Regions:
    """What is on a scene."""
    boxes = np.array([thing.box_xyxy for thing in SCENES[row].things])
    return Regions(row, boxes, [thing.label for thing in SCENES[row].things])


def test_swapped_name_is_less_likely_than_the_true_one(scorer: Scorer) -> None:
    true = [things(row) for row in range(len(SCENES))]
    wrong = [replace(t, labels=[LABELS[(LABELS.index(name) + 1) % len(LABELS)] for name in t.labels]) for t in true]
    hits = [
        score.runner_up == name and score.p_runner_up > score.label
        for group, scores in zip(true, scorer.regions(wrong, LABELS), strict=True)
        for name, score in zip(group.labels, scores, strict=True)
    ]
    assert np.mean(hits) > 0.7


def test_names_of_a_box_share_one_probability(scorer: Scorer) -> None:
    ((likely, *_),) = scorer.names([things(0)], [LABELS])
    assert sum(likely.values()) == pytest.approx(1.0, abs=1e-5)
    assert likely.keys() == set(LABELS)


def test_true_boxes_are_better_supported_than_boxes_elsewhere(scorer: Scorer) -> None:
    true = [things(row) for row in range(len(SCENES))]
    moved = [replace(t, boxes_xyxy=np.clip(IMAGE_PX - t.boxes_xyxy[:, [2, 3, 0, 1]], 0, IMAGE_PX)) for t in true]
    true_scores, moved_scores = (np.concatenate(scorer.boxes(groups)) for groups in (true, moved))
    assert all(0 <= score <= 1 for score in [*true_scores, *moved_scores])
    assert np.mean(true_scores) > 2 * np.mean(moved_scores)


def test_box_scores_go_to_their_own_rows(scorer: Scorer) -> None:
    """The answer says boxes in raster order; the scores must come back in the order they were asked in."""
    group = next(things(row) for row, scene in enumerate(SCENES) if len(scene.things) == 2)
    turned = Regions(group.image, group.boxes_xyxy[::-1], group.labels[::-1])
    forward, backward = scorer.boxes([group, turned])
    assert backward == pytest.approx(forward[::-1], rel=1e-3)


def test_true_caption_is_likelier_than_another_image_s(scorer: Scorer) -> None:
    own = scorer.texts([(row, "brief", scene.caption) for row, scene in enumerate(SCENES)])
    other = scorer.texts([(row, "brief", SCENES[row - 1].caption) for row in range(len(SCENES))])
    assert np.mean(own) > np.mean(other)


def test_what_cannot_be_said_is_not_scored(scorer: Scorer) -> None:
    nothing = Regions(0, np.zeros((0, 4)), [])
    unsayable = Regions(0, np.array([[1.0, 1.0, 9.0, 9.0]]), ["日本"])
    assert scorer.texts([(0, "brief", "a <loc_1> b")]) == [NOT_ASKED]
    assert scorer.boxes([unsayable]) == [[NOT_ASKED]]
    assert scorer.regions([nothing], LABELS) == [[]]


def test_a_place_that_was_not_asked_about_is_told_from_an_unlikely_one(scorer: Scorer) -> None:
    """Through what a student's output holds: a place without a score there is none that may be doubted."""
    box = (1.0, 1.0, 9.0, 9.0)
    regions = tuple(RegionLabel(name, box, name, 0.0, 0.0) for name in (LABELS[0], "日本"))
    image = LabelledImage("image", "image", (IMAGE_PX, IMAGE_PX), regions, ())
    (judgement,) = judge(scorer, [image], LABELS, [("", "")], round_=1)
    assert [region.place_asked for region in judgement.old] == [True, False]
    writer = RowWriter()
    writer.add("image", annotations_of(judgement), Source(annotator="student-1", model="student", revision="1"))
    said = {name: schema.empty_table() for name, schema in ANNOTATION_TABLES.items()} | writer.tables()
    stored = judgements([image], said, LABELS)["image"]
    assert [region.place_asked for region in stored.old] == [True, False]


def test_a_batch_of_images_scores_as_each_alone(taught: Student, scorer: Scorer) -> None:
    """Other questions in the batch pad an answer and move sums in the last digits: 1e-4 of a score, as it is stored."""
    groups = [things(row) for row in range(len(SCENES))]
    captions = [(row, "brief", scene.caption) for row, scene in enumerate(SCENES)]
    together = scorer.regions(groups, LABELS), scorer.texts(captions)
    for row, scene in enumerate(SCENES):
        alone = Scorer(extract_features(taught, [scene.pixels]), batch_size=1)
        (regions,) = alone.regions([replace(groups[row], image=0)], LABELS)
        assert alone.texts([(0, *captions[row][1:])]) == pytest.approx([together[1][row]], rel=1e-4)
        for one, other in zip(together[0][row], regions, strict=True):
            assert one.runner_up == other.runner_up
            scores = one.box, one.label, one.p_runner_up
            assert scores == pytest.approx((other.box, other.label, other.p_runner_up), rel=1e-4)


def test_scores_are_the_same_whatever_order_is_asked_in(scorer: Scorer) -> None:
    captions = [(row, "brief", scene.caption) for row, scene in enumerate(SCENES)]
    forward, backward = scorer.texts(captions), scorer.texts(captions[::-1])
    assert scorer.texts(captions) == forward  # to the last digit
    assert backward[::-1] == pytest.approx(forward, rel=1e-4)


def test_likelihood_is_the_model_s_own_loss(taught: Student, scorer: Scorer) -> None:
    """Checked against the loss that transformers computes for the same question and answer."""
    inputs = encode(taught, [SCENES[0].pixels], [(0, write_prompt("<CAPTION>"))])
    labels = encode_targets(taught, [SCENES[0].caption])
    inputs.pop("image_rows")
    logits = taught.model(**inputs, labels=labels).logits.log_softmax(dim=-1)
    tokens = logits[0, 1:].gather(1, labels[0, 1:, None])[:, 0]  # without the start mark
    (score,) = scorer.texts([(0, "brief", SCENES[0].caption)])
    assert score == pytest.approx(tokens.mean().exp().item(), rel=1e-4)


@pytest.mark.parametrize("task", ["<OD>", "<CAPTION>"])
def test_answers_are_those_of_the_library(taught: Student, task: Task) -> None:
    """Looking once and asking twice must not change what a student says."""
    pixels = [scene.pixels for scene in SCENES]
    inputs = encode(taught, pixels, [(row, write_prompt(task)) for row in range(len(pixels))])
    inputs.pop("image_rows")
    ids = taught.model.generate(**inputs, max_new_tokens=40, num_beams=1, do_sample=False)
    theirs = taught.processor.tokenizer.batch_decode(ids, skip_special_tokens=False)
    assert answer(extract_features(taught, pixels), task, max_tokens=40) == theirs
    assert max(map(len, theirs)) > 20  # it says something


@pytest.mark.parametrize("name", ["日本", "日本 bowl", "\u00e6\u00f8"])
def test_a_name_of_which_something_else_would_be_said_is_not_asked(scorer: Scorer, name: str) -> None:
    """Nor is it a rival of others: half of a name is another name."""
    box = np.array([[1.0, 1.0, 9.0, 9.0]])
    ((own,),) = scorer.regions([Regions(0, box, [name])], LABELS)
    assert (own.label, own.runner_up) == (NOT_ASKED, "")
    ((known,),) = scorer.regions([Regions(0, box, [LABELS[0]])], [*LABELS, name])
    assert known.runner_up in LABELS


def test_spellings_of_a_name_do_not_compete(scorer: Scorer) -> None:
    """They would share the probability of one name, and the likelier spelling would be an edit."""
    group = things(0)
    (plain,) = scorer.regions([group], LABELS)
    shouted = replace(group, labels=[label.upper() for label in group.labels])
    (loud,) = scorer.regions([shouted], LABELS)
    assert [(one.label, one.runner_up) for one in loud] == [(one.label, one.runner_up) for one in plain]


def test_a_text_that_is_cut_is_not_scored(scorer: Scorer) -> None:
    """What the student saw of it may be likely; of its end nothing is known."""
    student = scorer._features.student
    (whole,) = scorer.texts([(0, "brief", SCENES[0].caption)])
    longest, student.max_target_tokens = student.max_target_tokens, 4
    try:
        assert scorer.texts([(0, "brief", SCENES[0].caption)]) == [NOT_ASKED]
    finally:
        student.max_target_tokens = longest
    assert whole > 0
