"""Florence-2 through the adapter says what direct use of the library says, task by task."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
import transformers
from pydantic import ValidationError

from fld_engine.annotators.hub.florence2 import HubFlorence2
from fld_engine.annotators.hub.florence2_questions import PRODUCES
from fld_engine.annotators.parse.spacy_parser import SpacyParser
from fld_engine.engine.plan.protocols import Sample
from fld_engine.schemas.annotations import Annotations
from fld_engine.schemas.errors import ModelError
from fld_engine.schemas.target_language import write_prompt
from fld_engine.schemas.tasks import TASKS, Task
from tests.annotators.builders import line, text, thing
from tests.annotators.hub.checkpoints_detection import build_rtdetr
from tests.annotators.hub.checkpoints_florence2 import ANSWERS, CAPTION, build_florence2
from tests.annotators.hub.shared import Limited, image_samples, pinned

WH = (80, 60)
BOX = (5.0, 5.0, 40.04, 50.01)  # that of `DOG` in ANSWERS
MAX_TOKENS = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_florence2(tmp_path_factory.mktemp("florence2"))


@pytest.fixture(scope="module")
def known() -> Annotations:
    """The caption of ANSWERS with its parse, and a region and a line of text where `DOG` is."""
    texts = (text(CAPTION, "t0"),)
    parser = SpacyParser()
    parser.load()
    tokens = parser.annotate([replace(image_samples([(8, 8)])[0], known=Annotations(texts=texts))])[0].tokens
    return Annotations(texts=texts, tokens=tokens, regions=(thing("dog", BOX, 0.9, "r0"), line("OPEN", BOX)))


def florence2(folder: Path, *tasks: Task, **params: Any) -> HubFlorence2:
    vocabulary = ("cat", "flag") if "<OPEN_VOCABULARY_DETECTION>" in tasks else ()
    given = {"tasks": tasks, "vocabulary": vocabulary, "max_new_tokens": MAX_TOKENS, **params}
    found = HubFlorence2(pinned(HubFlorence2.Params, folder, **given))
    found.load()
    return found


def scenes(known: Annotations, num: int = 1) -> list[Sample]:
    return [replace(image_samples([(60, 80)], seed)[0], known=known) for seed in range(num)]


class Library:
    """Direct use of `transformers`, one question at a time."""

    def __init__(self, folder: Path) -> None:
        self.processor = transformers.AutoProcessor.from_pretrained(folder)
        self.model = transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()

    def ids(self, sample: Sample, task: Task, input_: str, num_beams: int = 1) -> tuple[Any, torch.Tensor]:
        prompt = write_prompt(task, input_)
        inputs = self.processor(images=[sample.pixels], text=[prompt], return_tensors="pt")
        with torch.no_grad():
            ids = self.model.generate(**inputs, num_beams=num_beams, do_sample=False, max_new_tokens=MAX_TOKENS)
        return inputs, ids

    def answer(self, sample: Sample, task: Task, input_: str = "", num_beams: int = 1) -> Any:
        """What the library's own post-processor makes of what is generated."""
        _, ids = self.ids(sample, task, input_, num_beams)
        said = self.processor.batch_decode(ids, skip_special_tokens=False)[0]
        return self.processor.post_process_generation(said, task=task, image_size=WH)[task]

    def token_scores(self, sample: Sample, task: Task, input_: str = "") -> list[tuple[str, float]]:
        """Each token without sentence marks, and its probability after those before it."""
        inputs, ids = self.ids(sample, task, input_)
        with torch.no_grad():
            logits = self.model(**inputs, decoder_input_ids=ids).logits[0].log_softmax(-1)
        tokens = self.processor.tokenizer.convert_ids_to_tokens(ids[0])
        return [(t, float(logits[n - 1, ids[0, n]])) for n, t in enumerate(tokens) if t not in ("<s>", "</s>")]


def whole(box: Any) -> list[int]:
    """Coordinates as the library has them: integers, cut off."""
    return [int(value) for value in box]


def questions_of(task: Task) -> list[str]:
    return [input_ for asked, input_ in ANSWERS if asked == task]


BOXES: tuple[Task, ...] = ("<OD>", "<DENSE_REGION_CAPTION>", "<OPEN_VOCABULARY_DETECTION>")


@pytest.mark.parametrize("num_beams", [1, 3])
def test_texts_are_those_of_the_library(folder: Path, known: Annotations, num_beams: int) -> None:
    tasks: tuple[Task, ...] = ("<CAPTION>", "<DETAILED_CAPTION>", "<MORE_DETAILED_CAPTION>")
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, *tasks, num_beams=num_beams).annotate([sample])
    assert [(said.granularity, said.text) for said in found.texts] == [
        (granularity, library.answer(sample, task, num_beams=num_beams))
        for granularity, task in zip(("brief", "detailed", "more_detailed"), tasks, strict=True)
    ]
    assert len(" ".join(said.text for said in found.texts).split()) >= 15


@pytest.mark.parametrize("task", BOXES)
def test_boxes_and_labels_are_those_of_the_library(folder: Path, known: Annotations, task: Task) -> None:
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, task).annotate([sample])
    boxes, labels = [], []
    for input_ in questions_of(task):
        answer = library.answer(sample, task, input_)
        boxes += [whole(box) for box in answer["bboxes"]]
        labels += answer.get("labels", answer.get("bboxes_labels"))
    drawn = [region for region in found.regions if not region.masks]
    assert [whole(region.box_xyxy) for region in drawn] == boxes
    assert [region.texts[0].text for region in drawn] == labels
    assert len(boxes) >= 5
    assert {region.texts[0].kind for region in drawn} == {"brief" if task == "<DENSE_REGION_CAPTION>" else "phrase"}


def test_masks_of_a_word_come_with_a_box_around_them(folder: Path, known: Annotations) -> None:
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, "<OPEN_VOCABULARY_DETECTION>").annotate([sample])
    answer = library.answer(sample, "<OPEN_VOCABULARY_DETECTION>", "flag")
    (region,) = (region for region in found.regions if region.masks)
    (mask,) = region.masks
    assert [[whole(polygon) for polygon in mask.polygons]] == [
        [whole(polygon) for polygon in polygons] for polygons in answer["polygons"]
    ]
    points = mask.polygons[0]
    assert region.box_xyxy == (min(points[::2]), min(points[1::2]), max(points[::2]), max(points[1::2]))
    assert region.texts[0].text == "flag"


def test_quadrilaterals_and_read_text_are_those_of_the_library(folder: Path, known: Annotations) -> None:
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, "<OCR_WITH_REGION>").annotate([sample])
    answer = library.answer(sample, "<OCR_WITH_REGION>")
    assert [whole(region.quad) for region in found.regions] == [whole(quad) for quad in answer["quad_boxes"]]
    assert [region.texts[0].text for region in found.regions] == answer["labels"]
    assert {(region.kind, region.texts[0].kind) for region in found.regions} == {("text", "ocr")}
    assert len(found.regions) >= 2


def test_phrases_of_a_text_have_the_boxes_of_the_library(folder: Path, known: Annotations) -> None:
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, "<CAPTION_TO_PHRASE_GROUNDING>").annotate([sample])
    answer = library.answer(sample, "<CAPTION_TO_PHRASE_GROUNDING>", CAPTION)
    pairs = [(phrase.phrase, whole(r.box_xyxy)) for phrase in found.phrases for r in phrase.regions]
    assert pairs == list(zip(answer["labels"], map(whole, answer["bboxes"]), strict=True))
    assert len(pairs) >= 5
    assert [CAPTION[phrase.start : phrase.end] for phrase in found.phrases] == ["A cat", "a wooden chair"]
    assert {phrase.text_id for phrase in found.phrases} == {"t0"}


def test_phrases_referred_to_have_the_masks_of_the_library(folder: Path, known: Annotations) -> None:
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, "<REFERRING_EXPRESSION_SEGMENTATION>").annotate([sample])
    assert [phrase.phrase for phrase in found.phrases] == ["cat", "wooden chair"]
    for phrase in found.phrases:
        answer = library.answer(sample, "<REFERRING_EXPRESSION_SEGMENTATION>", phrase.phrase)
        masks = [[whole(polygon) for polygon in region.masks[0].polygons] for region in phrase.regions]
        assert masks == [[whole(polygon) for polygon in polygons] for polygons in answer["polygons"]]
        assert CAPTION[phrase.start : phrase.end] == phrase.phrase
    assert sum(len(phrase.regions) for phrase in found.phrases) >= 3


def test_what_is_known_of_regions_is_added_to(folder: Path, known: Annotations) -> None:
    tasks: tuple[Task, ...] = (
        "<REGION_TO_CATEGORY>",
        "<REGION_TO_DESCRIPTION>",
        "<REGION_TO_OCR>",
        "<REGION_TO_SEGMENTATION>",
    )
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, *tasks).annotate([sample])
    given = questions_of("<REGION_TO_CATEGORY>")[0]
    said = [(text.region_id, text.kind, text.text) for text in found.region_texts]
    assert said == [
        ("r0", "phrase", library.answer(sample, tasks[0], given)),
        ("r0", "brief", library.answer(sample, tasks[1], given)),
        ("line OPEN", "ocr", library.answer(sample, tasks[2], given)),
    ]
    (mask,) = found.masks
    answer = library.answer(sample, "<REGION_TO_SEGMENTATION>", given)
    assert mask.subject_id == "r0"
    assert [whole(polygon) for polygon in mask.polygons] == [whole(p) for m in answer["polygons"] for p in m]


def test_scores_are_probabilities_of_tokens_of_box_and_label_apart(folder: Path, known: Annotations) -> None:
    """From the library's logits for the same answer, each token after those before it."""
    sample, library = scenes(known)[0], Library(folder)
    (found,) = florence2(folder, "<OD>").annotate([sample])
    tokens = library.token_scores(sample, "<OD>")
    assert len(found.regions) >= 5
    expected: list[tuple[float, float]] = []
    words: list[float] = []
    place: list[float] = []
    is_new_label = True
    for token, log in tokens:
        if not token.startswith("<loc_"):
            words = [log] if is_new_label else [*words, log]
            is_new_label = False
        else:
            place.append(log)
            is_new_label = True
        if len(place) == 4:
            expected.append((math.exp(sum(place) / 4), math.exp(sum(words) / len(words))))
            place = []
    given = [(region.score, region.texts[0].score) for region in found.regions]
    assert given == [pytest.approx(pair, abs=2e-4) for pair in expected]


def test_batches_say_what_each_image_alone_says(folder: Path, known: Annotations) -> None:
    """The same words and tokens, scores within 2e-4."""
    tasks: tuple[Task, ...] = ("<CAPTION>", "<OD>", "<OCR_WITH_REGION>")
    batch = scenes(known, 4)
    together = florence2(folder, *tasks, items_per_pass=8).annotate(batch)
    one_by_one = florence2(folder, *tasks, items_per_pass=1)
    for sample, at_once in zip(batch, together, strict=True):
        (alone,) = one_by_one.annotate([sample])
        assert unscored(alone) == unscored(at_once)
        scores = [[r.score for r in found.regions] + [t.score for t in found.texts] for found in (alone, at_once)]
        assert scores[0] == pytest.approx(scores[1], abs=2e-4)


def unscored(found: Annotations) -> list[Any]:
    regions = [(region.kind, region.box_xyxy, region.quad, region.texts[0].text) for region in found.regions]
    return [*regions, *((said.granularity, said.text) for said in found.texts)]


def test_out_of_memory_halves_the_pass_and_loses_nothing(folder: Path, known: Annotations) -> None:
    batch = scenes(known, 4)
    whole_device, cramped = (florence2(folder, "<CAPTION>", "<OD>", items_per_pass=8) for _ in range(2))
    assert cramped._loaded is not None
    cramped._loaded.model = Limited(cramped._loaded.model, at_most=1)
    found = cramped.annotate(batch)
    assert list(map(unscored, whole_device.annotate(batch))) == list(map(unscored, found))
    assert cramped.reduced
    assert not whole_device.reduced


def test_bfloat16_runs(folder: Path, known: Annotations) -> None:
    (found,) = florence2(folder, "<CAPTION>", "<OD>", dtype="bfloat16").annotate(scenes(known))
    assert found.texts


def test_nothing_known_is_nothing_asked(folder: Path) -> None:
    """Also where a text cannot be put into a prompt."""
    tasks: tuple[Task, ...] = ("<CAPTION_TO_PHRASE_GROUNDING>", "<REGION_TO_CATEGORY>", "<REGION_TO_SEGMENTATION>")
    asked = florence2(folder, *tasks)
    unsayable = Annotations(texts=(text("a <cap> on a head", "t0"),))
    assert asked.annotate(scenes(Annotations())) == [Annotations()]
    assert asked.annotate(scenes(unsayable)) == [Annotations()]


def test_each_task_states_what_it_reads_and_writes() -> None:
    kinds = {task: made(task) for task in PRODUCES}
    assert {task for task in TASKS if task not in PRODUCES} == {"<OCR>", "<REGION_PROPOSAL>"}
    assert kinds["<OD>"].requires == {"pixels"}
    assert kinds["<REFERRING_EXPRESSION_SEGMENTATION>"].requires == {"pixels", "brief_texts", "tokens"}
    assert kinds["<CAPTION_TO_PHRASE_GROUNDING>"].optional == {"detailed_texts"}
    assert kinds["<DENSE_REGION_CAPTION>"].produces == {"objects", "region_briefs"}
    both = made("<CAPTION>", "<OCR_WITH_REGION>")
    assert (both.requires, both.produces) == ({"pixels"}, {"brief_texts", "scene_text"})
    assert pickle.loads(pickle.dumps(both)).params == both.params


def made(*tasks: Task, **params: Any) -> HubFlorence2:
    vocabulary = ("cat",) if "<OPEN_VOCABULARY_DETECTION>" in tasks else ()
    given = {"tasks": tasks, "vocabulary": vocabulary, **params}
    return HubFlorence2(HubFlorence2.Params(checkpoint="org/not-there", **cast("Any", given)))


@pytest.mark.parametrize(
    ("tasks", "params", "message"),
    [
        (("<OCR>",), {}, "write no annotation"),
        (("<OD>", "<REGION_TO_CATEGORY>"), {}, r"read the \['objects'\] they write: use two annotators"),
        (("<OD>",), {"vocabulary": ("cat",)}, "need each other"),
        (("<OPEN_VOCABULARY_DETECTION>",), {"vocabulary": ()}, "need each other"),
        ((), {}, "at least 1 item"),
    ],
)
def test_tasks_that_cannot_be_asked_together_are_refused(
    tasks: tuple[Task, ...], params: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        made(*tasks, **params)


def test_a_checkpoint_of_another_kind_is_refused_with_the_kinds_that_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'rt_detr_v2', which does not do the tasks of Florence-2; .*: florence2"):
        florence2(build_rtdetr(tmp_path), "<CAPTION>")
