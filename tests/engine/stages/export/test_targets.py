"""Targets say what the sample says, in the fifteen tasks, and name the annotations they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fld_engine.engine.stages.export.assemble import assemble
from fld_engine.schemas.sample import Sample, TargetEntry, canonical_json, parse_sample
from fld_engine.schemas.target_language import parse_answer
from fld_engine.schemas.tasks import TASKS
from tests.engine.stages.export.view_builder import box, image_row, make_view, small_jpeg
from tests.florence2_processor import build_processor

IMAGE = {**image_row(small_jpeg(1)), "width": 640, "height": 480}
ID = IMAGE["id"]
SQUARE = [64.0, 48.0, 128.0, 48.0, 128.0, 96.0, 64.0, 96.0]


def full_tables() -> dict[str, list[dict[str, Any]]]:
    """Two cats (one with a mask), a dog whose name cannot be said, a sign; three captions, one grounded."""
    regions = [
        {"id": "cat-low", "kind": "object", **box(64, 288, 128, 384)},
        {"id": "cat-top", "kind": "object", **box(64, 48, 128, 96)},
        {"id": "dog", "kind": "object", **box(320, 240, 384, 288)},
        {"id": "sign", "kind": "text", **box(10, 10, 90, 40), "quad": [10.0, 10.0, 90.0, 12.0, 90.0, 40.0, 10.0, 38.0]},
        {"id": "plate", "kind": "text", **box(10, 400, 90, 420)},
    ]
    region_texts = [
        {"id": "cat-low-name", "region_id": "cat-low", "kind": "phrase", "text": "cat"},
        {"id": "cat-top-name", "region_id": "cat-top", "kind": "phrase", "text": "cat"},
        {"id": "cat-top-brief", "region_id": "cat-top", "kind": "brief", "text": "a grey cat"},
        {"id": "dog-name", "region_id": "dog", "kind": "phrase", "text": "犬"},
        {"id": "sign-words", "region_id": "sign", "kind": "ocr", "text": "OPEN"},
        {"id": "plate-words", "region_id": "plate", "kind": "ocr", "text": "AB <3 12"},
    ]
    texts = [
        {"id": "brief", "granularity": "brief", "text": "a cat on\na chair"},
        {"id": "detailed", "granularity": "detailed", "text": "Two cats rest."},
        {"id": "long", "granularity": "more_detailed", "text": "free <loc_1> sample"},
    ]
    phrases = [
        {"id": "p-chair", "text_id": "brief", "phrase": "a chair", "start": 9, "end": 16},
        {"id": "p-cat", "text_id": "brief", "phrase": "a cat", "start": 0, "end": 5},
        {"id": "p-it", "text_id": "detailed", "phrase": "it", "start": 0, "end": 2},
    ]
    phrase_regions = [
        {"id": "g-chair", "phrase_id": "p-chair", **box(0, 0, 640, 480)},
        {"id": "g-cat", "phrase_id": "p-cat", "region_id": "cat-top", **box(64, 48, 128, 96)},
        {"id": "g-it", "phrase_id": "p-it", **box(0, 0, 10, 10)},
    ]
    tables = {
        "regions": regions,
        "region_texts": region_texts,
        "texts": texts,
        "phrases": phrases,
        "phrase_regions": phrase_regions,
        "masks": [{"id": "m", "subject_id": "cat-top", "polygons": [SQUARE]}],
    }
    return {name: [{"image_id": ID, **row} for row in rows] for name, rows in tables.items()}


@pytest.fixture(scope="module")
def sample() -> Sample:
    view = make_view([IMAGE], full_tables(), chosen=["cat-top-brief", "cat-low-name"])
    (made,) = assemble(view, lambda group: "train")
    return made


def of(sample: Sample, task: str) -> list[TargetEntry]:
    return [target for target in sample.targets if target.task == task]


def test_all_fifteen_tasks_but_the_unsayable_one(sample: Sample) -> None:
    """The only paragraph holds a location token: it stays in the json, and never becomes a target."""
    assert {target.task for target in sample.targets} == set(TASKS) - {"<MORE_DETAILED_CAPTION>"}
    assert "free <loc_1> sample" in [text.text for text in sample.texts]


def test_captions_are_one_line(sample: Sample) -> None:
    (target,) = of(sample, "<CAPTION>")
    assert (target.target, target.annotation_ids) == ("a cat on a chair", ("brief",))


def test_detection_names_its_regions_in_spoken_order(sample: Sample) -> None:
    (target,) = of(sample, "<OD>")
    assert target.target == "cat<loc_100><loc_100><loc_200><loc_200><loc_100><loc_600><loc_200><loc_800>"
    assert target.annotation_ids == ("cat-top", "cat-low")
    (dense,) = of(sample, "<DENSE_REGION_CAPTION>")
    assert dense.target.startswith("a grey cat<loc_100>")
    assert dense.annotation_ids == ("cat-top", "cat-low")
    (proposals,) = of(sample, "<REGION_PROPOSAL>")
    assert proposals.annotation_ids == ("cat-top", "dog", "cat-low")  # a box needs no name


def test_scene_text_is_said_as_it_stands(sample: Sample) -> None:
    """A `<` that begins no token is a sign like any other."""
    (words,) = of(sample, "<OCR>")
    assert (words.target, words.annotation_ids) == ("OPEN AB <3 12", ("sign", "plate"))
    (quads,) = of(sample, "<OCR_WITH_REGION>")
    assert quads.annotation_ids == ("sign", "plate")
    assert [target.target for target in of(sample, "<REGION_TO_OCR>")] == ["OPEN", "AB <3 12"]


def test_what_is_in_no_target_is_told_by_task_and_reason(sample: Sample) -> None:
    """A dog whose name has no spelling in ASCII, and a caption with a token in it; `it` is no thing to be counted."""
    told = {(entry.task, entry.reason, entry.annotation_ids) for entry in sample.unsaid}
    assert told == {
        ("<MORE_DETAILED_CAPTION>", "not_representable", ("long",)),
        ("<OD>", "not_representable", ("dog",)),
        ("<DENSE_REGION_CAPTION>", "not_representable", ("dog",)),
        ("<OPEN_VOCABULARY_DETECTION>", "not_representable", ("dog",)),
    }


def crowd(number: int, *names: str) -> Sample:
    """A sample of as many boxes, whose names take turns."""
    places = [{"x1": float(i), "y1": 0.0, "x2": i + 1.0, "y2": 9.0} for i in range(number)]
    regions = [{"id": f"r{i}", "image_id": ID, "kind": "object", **at} for i, at in enumerate(places)]
    region_texts = [
        {"id": f"n{i}", "image_id": ID, "region_id": f"r{i}", "kind": "phrase", "text": names[i % len(names)]}
        for i in range(number)
    ]
    (made,) = assemble(make_view([IMAGE], {"regions": regions, "region_texts": region_texts}), lambda group: "train")
    return made


@pytest.mark.parametrize(
    ("number", "names", "whole"),
    [
        (255, ("bolt",), True),  # 255 boxes and the word: 1,021 tokens
        (256, ("bolt",), False),
        (300, ("bolt", "nut"), False),
    ],
)
def test_a_crowded_picture_is_asked_for_its_classes(number: int, names: tuple[str, ...], whole: bool) -> None:
    """A list that ends early teaches to stop early; each class that fits is told whole, and every box by its place."""
    made = crowd(number, *names)
    assert {t.task for t in made.targets if t.task == "<OD>"} == ({"<OD>"} if whole else set())
    told = [len(target.annotation_ids) for target in of(made, "<OPEN_VOCABULARY_DETECTION>")]
    assert told == ([255] if whole else [150, 150] if len(names) == 2 else [])
    assert len(of(made, "<REGION_TO_CATEGORY>")) == number
    unsaid = {entry.task: (entry.reason, len(entry.annotation_ids)) for entry in made.unsaid}
    lists = {"<OD>", "<DENSE_REGION_CAPTION>", "<OPEN_VOCABULARY_DETECTION>"}
    proposals = set() if number <= 255 else {"<REGION_PROPOSAL>"}
    expected = (
        proposals
        if whole
        else lists | proposals
        if len(names) == 1
        else (lists | proposals) - {"<OPEN_VOCABULARY_DETECTION>"}
    )
    assert unsaid == dict.fromkeys(expected, ("too_long", number))


def test_a_sample_of_an_older_export_reads_and_writes_as_it_was(sample: Sample) -> None:
    """Shards of version 1.0 have no `unsaid`: they are whole all the same, byte for byte."""
    old = json.loads(canonical_json(sample))
    del old["unsaid"]
    data = json.dumps(old, separators=(",", ":"), ensure_ascii=False).encode()
    assert canonical_json(parse_sample(data)) == data


def test_grounding_follows_the_caption(sample: Sample) -> None:
    """`it` is banned by the published post-processor, which would lose the instance: no target at all."""
    (grounding,) = of(sample, "<CAPTION_TO_PHRASE_GROUNDING>")
    assert grounding.prompt == "Locate the phrases in the caption: a cat on a chair"
    assert grounding.annotation_ids == ("g-cat", "g-chair")


def test_segmentation_needs_a_mask_for_every_region_of_the_phrase(sample: Sample) -> None:
    (referred,) = of(sample, "<REFERRING_EXPRESSION_SEGMENTATION>")
    assert referred.prompt == "Locate a cat in the image with mask"
    (region,) = of(sample, "<REGION_TO_SEGMENTATION>")
    assert region.prompt == "What is the polygon mask of region <loc_100><loc_100><loc_200><loc_200>"
    assert region.target == referred.target
    assert region.target == "<loc_100><loc_100><loc_200><loc_100><loc_200><loc_200><loc_100><loc_200>"


def test_every_target_is_read_by_the_library(sample: Sample) -> None:
    processor = build_processor()
    boxes = {r.id: r.box for r in sample.regions} | {
        r.id: r.box for g in sample.groundings for p in g.phrases for r in p.regions
    }
    for target in sample.targets:
        answer = processor.post_process_generation(text=target.target, task=target.task, image_size=(640, 480))
        read = answer[target.task]
        if TASKS[target.task].answer == "text":
            assert read == target.target
            continue
        ours = parse_answer(target.task, target.target, (640, 480))
        places = read.get("quad_boxes") or read.get("polygons") or read["bboxes"]
        assert len(places) == len(ours) == len(target.annotation_ids)
        if read.get("bboxes"):
            for id_, place, parsed in zip(target.annotation_ids, places, ours, strict=True):
                assert place == [int(v) for v in parsed.shapes[0]]
                assert parsed.shapes[0] == pytest.approx(boxes[id_], abs=0.33)


def test_sample_without_annotations_has_no_targets() -> None:
    (empty,) = assemble(make_view([IMAGE]), lambda group: "train")
    assert empty.targets == ()
