"""Zero-shot detectors through the adapter see what direct use of the library sees, phrase by phrase."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fld_engine.annotators.hub.phrase_queries import Queries, Sentences, spoken
from fld_engine.annotators.hub.zero_shot_detection import HubZeroShotDetector
from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.data.images import RGB
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations, Phrase
from fld_engine.schemas.errors import ModelError
from tests.annotators.builders import text
from tests.annotators.hub.checkpoints_detection import (
    bert_tokenizer,
    build_grounding_dino,
    build_mm_grounding_dino,
    build_owlv2,
    build_rtdetr,
    clip_tokenizer,
)
from tests.annotators.hub.shared import Limited, image_samples, pinned

WORDS = ("Red ball", "dog", "a cat")
TOKENS = ((1, 2), (4,), (6, 7))
"""Where the words are in `[CLS] red ball . dog . a cat . [SEP]`."""
CAPTIONS = ("A dog sits near a red ball.", "The red ball lies on a table beside two cats and a dog.")

Boxes = list[tuple[str, float, tuple[float, ...]]]


@pytest.fixture(scope="module", params=[build_grounding_dino, build_mm_grounding_dino, build_owlv2])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    build: Callable[[Path], Path] = request.param
    return build(tmp_path_factory.mktemp("detector"))


def detector(folder: Path, **params: Any) -> HubZeroShotDetector:
    given = {"nms_iou": 1.0, **params}
    found = HubZeroShotDetector(pinned(HubZeroShotDetector.Params, folder, **given))
    found.load()
    return found


def direct(folder: Path, pixels: RGB) -> Boxes:
    """What the library says of `WORDS`: boxes from the raw output, clipped to the frame."""
    import torch
    from transformers import AutoModelForZeroShotObjectDetection, AutoProcessor

    model = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    words = [word.lower() for word in WORDS]
    with torch.inference_mode():
        output = model(**processor(images=[pixels], text=[words], return_tensors="pt"))
    logits = output.logits[0].numpy()
    is_owl = model.config.model_type == "owlv2"
    if not is_owl:
        logits = np.stack([logits[:, list(columns)].max(axis=1) for columns in TOKENS], axis=1)
    height, width = pixels.shape[:2]
    frame = (max(height, width),) * 2 if is_owl else (width, height)  # OWLv2 sees a square, filled up below and right
    found: Boxes = []
    for (x, y, w, h), row in zip(output.pred_boxes[0].numpy().astype(float), logits, strict=True):
        corners = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * (*frame, *frame)
        x1, y1, x2, y2 = np.clip(corners, 0, (width, height, width, height)).tolist()
        chance = 1 / (1 + np.exp(-float(row.max())))
        if chance > 0.2 and round(x2, 2) > round(x1, 2) and round(y2, 2) > round(y1, 2):
            found.append((words[int(row.argmax())], chance, (x1, y1, x2, y2)))
    return found


def assert_same(found: Boxes, expected: Boxes, score: float = 2e-4, pixel: float = 0.02) -> None:
    """The same boxes of the same words, in whatever order: each row has its nearest partner in the other list."""
    assert len(found) == len(expected)
    assert sorted(word for word, _, _ in found) == sorted(word for word, _, _ in expected)
    rest = list(found)
    for word, chance, box in expected:
        named = [row for row in rest if row[0] == word]
        partner = min(named, key=lambda row: float(np.abs(np.subtract(row[2], box)).max()) + abs(row[1] - chance))
        np.testing.assert_allclose(partner[2], box, atol=pixel)
        assert partner[1] == pytest.approx(chance, abs=score)
        rest.remove(partner)


def rows(annotations: Annotations) -> Boxes:
    return [(region.texts[0].text, region.score, region.box_xyxy) for region in annotations.regions]


def test_a_vocabulary_is_found_where_the_library_finds_it(folder: Path) -> None:
    sample = image_samples([(60, 80)])[0]
    found = detector(folder, vocabulary=WORDS).annotate([sample])[0]
    assert sample.pixels is not None
    expected = direct(folder, sample.pixels)
    assert len(expected) >= 5
    assert_same(rows(found), expected)
    assert [r.score for r in found.regions] == sorted((r.score for r in found.regions), reverse=True)


def test_a_batch_of_many_sizes_says_what_each_image_alone_says(folder: Path) -> None:
    """Within 2e-3 of scores and 0.05 px of boxes: another pass size may change the last digits."""
    batch = image_samples([(60, 80), (64, 64), (60, 80), (90, 40), (64, 64), (1, 1)])
    at_once = detector(folder, vocabulary=WORDS, items_per_pass=8).annotate(batch)
    one_by_one = detector(folder, vocabulary=WORDS, items_per_pass=1)
    alone = [one_by_one.annotate([sample])[0] for sample in batch]
    assert sum(len(found.regions) for found in alone) >= 5
    for one, same in zip(alone, at_once, strict=True):
        assert_same(rows(same), rows(one), score=2e-3, pixel=0.05)


@pytest.fixture(scope="module")
def captioned() -> list[Sample]:
    """Two images with two texts and with one, and one without any."""
    parser = SpacyParser()
    parser.load()
    first, second, third = image_samples([(60, 80)] * 3)
    known = []
    for captions in (CAPTIONS, CAPTIONS[:1]):
        texts = tuple(text(words, f"t{i}") for i, words in enumerate(captions))
        tokens = parser.annotate([replace(first, known=Annotations(texts=texts))])[0].tokens
        known.append(Annotations(texts=texts, tokens=tokens))
    return [replace(first, known=known[0]), replace(second, known=known[1]), third]


def boxes(phrase: Phrase) -> list[tuple[float, ...]]:
    return [(*region.box_xyxy, region.score) for region in phrase.regions]


def test_phrases_of_all_texts_get_the_boxes_of_their_words(folder: Path, captioned: list[Sample]) -> None:
    """The same question as a vocabulary of the different phrases, in their order."""
    grounded = detector(folder).annotate(captioned[:1])[0].phrases
    assert [phrase.phrase for phrase in grounded] == ["dog", "red ball", "red ball", "table", "two cats", "dog"]
    assert [phrase.text_id for phrase in grounded] == ["t0", "t0", "t1", "t1", "t1", "t1"]
    for phrase in grounded:
        words = CAPTIONS[int(phrase.text_id[1:])]
        assert words[phrase.start : phrase.end] == phrase.phrase
        assert phrase.score == (phrase.regions[0].score if phrase.regions else 0.0)
    asked = ("dog", "red ball", "table", "two cats")
    seen = detector(folder, vocabulary=asked).annotate(captioned[:1])[0].regions
    assert len(seen) >= 5
    for phrase in grounded:
        named = [(*r.box_xyxy, r.score) for r in seen if r.texts[0].text == phrase.phrase]
        assert boxes(phrase) == named[:10]


def test_images_with_more_and_fewer_phrases_share_a_pass(folder: Path, captioned: list[Sample]) -> None:
    at_once = detector(folder).annotate(captioned)
    found = detector(folder, items_per_pass=1)
    for sample, same in zip(captioned, at_once, strict=True):
        (one,) = found.annotate([sample])
        assert [phrase.phrase for phrase in one.phrases] == [phrase.phrase for phrase in same.phrases]
        for phrase, other in zip(one.phrases, same.phrases, strict=True):
            named = [[("", score, tuple(box)) for *box, score in boxes(p)] for p in (phrase, other)]
            assert_same(named[1], named[0], score=2e-3, pixel=0.05)
    assert at_once[2] == Annotations()


def test_questions_of_one_image_are_bounded(folder: Path, captioned: list[Sample]) -> None:
    (found,) = detector(folder, max_phrases=2, max_regions_per_phrase=1).annotate(captioned[:1])
    assert [phrase.phrase for phrase in found.phrases] == ["dog", "red ball", "red ball", "dog"]
    assert all(len(phrase.regions) <= 1 for phrase in found.phrases)


def test_out_of_memory_halves_the_pass_and_loses_nothing(folder: Path) -> None:
    batch = image_samples([(60, 80)] * 6)
    whole, cramped = (detector(folder, vocabulary=WORDS, items_per_pass=6) for _ in range(2))
    assert cramped._loaded is not None
    cramped._loaded.model = Limited(cramped._loaded.model, at_most=2)
    for one, same in zip(whole.annotate(batch), cramped.annotate(batch), strict=True):
        assert_same(rows(same), rows(one), score=2e-3, pixel=0.05)
    assert cramped.reduced
    assert not whole.reduced


def test_bfloat16_runs(folder: Path) -> None:
    (found,) = detector(folder, vocabulary=WORDS, dtype="bfloat16").annotate(image_samples([(60, 80)]))
    assert len(found.regions) >= 1


def test_a_long_vocabulary_is_asked_in_several_questions(tmp_path: Path) -> None:
    """64 tokens hold 15 phrases of 3 and their stops; every phrase is asked for, and keeps its own name."""
    words = tuple("".join(pair) for pair in zip("abcdefghijklmnopqrst", "bcdefghijklmnopqrstu", strict=True))
    vocabulary = tuple(f"{word} dog" for word in words)
    found = detector(build_grounding_dino(tmp_path), vocabulary=vocabulary, min_score=0.0)
    sample = image_samples([(60, 80)])[0]
    (both,) = found.annotate([sample])
    parts = [
        detector(tmp_path, vocabulary=part, min_score=0.0).annotate([sample])[0]
        for part in (vocabulary[:15], vocabulary[15:])
    ]
    assert len(both.regions) > 20  # of 20 queries each
    assert_same(rows(both), rows(parts[0]) + rows(parts[1]), score=2e-3, pixel=0.05)


def test_tokens_of_a_phrase_are_its_own() -> None:
    sentences = Sentences(bert_tokenizer(), max_tokens=64)
    encoded, (columns, short) = sentences.encode([["red ball", "dog", "a cat"], ["zz"]])
    assert columns == [list(of_phrase) for of_phrase in TOKENS]
    assert short == [[1, 2]]  # z ##z
    assert encoded["input_ids"].shape == (2, 10)
    assert sentences.chunks([]) == []
    assert sentences.chunks(["dog"] * 40) == [["dog"] * 31, ["dog"] * 9]


def test_a_phrase_that_is_too_long_is_cut() -> None:
    _, (columns, after) = Sentences(bert_tokenizer(), max_tokens=64).encode([["q" * 100], ["dog"]])
    assert columns == [list(range(1, 63))] or columns == [[1]]  # one unknown word, or its letters
    assert after == [[1]]
    encoded, _ = Queries(clip_tokenizer(), max_tokens=16).encode([["q" * 100, "dog"], ["cat"]])
    assert encoded["input_ids"].shape == (4, 16)


def test_delimiters_and_case_are_not_spoken() -> None:
    assert spoken("  Mr. Smith's\nDog? ") == "mr smith's dog"
    assert spoken(" .?. ") == ""


def test_words_that_say_nothing_are_not_asked_for(folder: Path) -> None:
    assert (
        detector(folder, vocabulary=("...", "dog")).annotate(image_samples([(60, 80)]))[0]
        == detector(folder, vocabulary=("dog",)).annotate(image_samples([(60, 80)]))[0]
    )


def test_a_checkpoint_of_another_kind_is_refused_with_the_kinds_that_fit(tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"'rt_detr_v2', which does not do zero-shot object detection; expected .*owlv2"
    ):
        detector(build_rtdetr(tmp_path))


def test_what_it_needs_and_writes_follows_from_its_parameters() -> None:
    grounds = HubZeroShotDetector(HubZeroShotDetector.Params(checkpoint="org/not-there"))
    detects = HubZeroShotDetector(HubZeroShotDetector.Params(checkpoint="org/not-there", vocabulary=WORDS))
    assert (grounds.requires, grounds.produces) == ({"pixels", "brief_texts", "tokens"}, {"groundings"})
    assert (detects.requires, detects.produces) == ({"pixels"}, {"objects"})
    assert pickle.loads(pickle.dumps(grounds)).params == grounds.params
