"""What people said twice is one thing, whole: nothing of it lost, and nothing else taken for it."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from fld_engine.engine.data.people import said_once
from fld_engine.engine.data.region_names import region_classes
from fld_engine.engine.data.rows import RowWriter, concat
from fld_engine.schemas.annotations import (
    Absence,
    Annotations,
    Label,
    Mask,
    Phrase,
    PhraseRegion,
    Region,
    RegionText,
    Source,
    Text,
)

Box = tuple[float, float, float, float]
A: Box = (10, 10, 110, 110)
NEAR_A: Box = (12, 12, 112, 112)  # IoU 0.92
HALF_A: Box = (10, 10, 60, 110)  # IoU 0.5
SQUARE = ((10.0, 10.0, 110.0, 10.0, 110.0, 110.0),)


def human(revision: str) -> Source:
    return Source(annotator="human", model="human", revision=revision)


def region(name: str, box: Box, *, kind: Any = "object", masks: tuple[Mask, ...] = ()) -> Region:
    text = RegionText(kind="phrase" if kind == "object" else "ocr", text=name, score=1.0)
    return Region(kind=kind, box_xyxy=box, score=1.0, texts=(text,), masks=masks)


def tables_of(*files: tuple[Source, Annotations]) -> dict[str, pa.Table]:
    """Annotations of one image, file after file."""
    parts = []
    for number, (source, said_in_it) in enumerate(files):
        writer = RowWriter(scope=f"/{number}")
        writer.add("image", said_in_it, source)
        parts.append(writer.tables())
    return concat(parts)


def said(*files: tuple[str, list[Region]]) -> list[tuple[str, Box]]:
    """The classes and places that are left of regions in several files of labels."""
    once = said_once(tables_of(*((human(name), Annotations(regions=tuple(regions))) for name, regions in files)))
    names = region_classes(once["regions"], once["region_texts"]).to_pylist()
    places = [tuple(row[side] for side in ("x1", "y1", "x2", "y2")) for row in once["regions"].to_pylist()]
    return list(zip(names, places, strict=True))


@pytest.mark.parametrize(
    ("files", "left"),
    [
        pytest.param([("a", [region("person", A)]), ("b", [region("Person", NEAR_A)])], [("person", A)], id="twice"),
        pytest.param(
            [(name, [region("person", A)]) for name in "abcd"], [("person", A)], id="in four files, one after the other"
        ),
        pytest.param([("a", [region("dog", A), region("dog", A)])], [("dog", A)], id="twice in one file"),
        pytest.param(
            [("a", [region("person", A)]), ("b", [region("man", NEAR_A)])], [("man", A)], id="the name that says more"
        ),
        pytest.param(
            [("a", [region("man", A)]), ("b", [region("person", NEAR_A)])], [("man", A)], id="whichever comes first"
        ),
        pytest.param(
            [("a", [region("motorbike", A)]), ("b", [region("motorcycle", NEAR_A)])], [("motorbike", A)], id="two names"
        ),
        pytest.param(
            [("a", [region("dog", A)]), ("b", [region("cat", A)])],
            [("dog", A), ("cat", A)],
            id="two things in one place",
        ),
        pytest.param(
            [("a", [region("dog", A)]), ("b", [region("dog", HALF_A)])],
            [("dog", A), ("dog", HALF_A)],
            id="side by side",
        ),
        pytest.param(
            [("a", [region("dog", A), region("dog", NEAR_A)])],
            [("dog", A), ("dog", NEAR_A)],
            id="one behind the other, by one person",
        ),
        pytest.param(
            [("a", [region("dog", A), region("dog", NEAR_A)]), ("b", [region("dog", NEAR_A), region("dog", A)])],
            [("dog", A), ("dog", NEAR_A)],
            id="the same two by two people",
        ),
        pytest.param(
            [("a", [region("dog", A)]), ("b", [region("dog", NEAR_A), region("dog", A)])],
            [("dog", A), ("dog", NEAR_A)],
            id="one of two was overlooked",
        ),
        pytest.param(
            [("a", [region("STOP", A, kind="text")]), ("b", [region("STOP", NEAR_A, kind="text")])],
            [("", A)],
            id="one sign",
        ),
        pytest.param(
            [("a", [region("STOP", A, kind="text")]), ("b", [region("Stop", NEAR_A, kind="text")])],
            [("", A), ("", NEAR_A)],
            id="read otherwise",
        ),
    ],
)
def test_things_are_counted_once(files: list[tuple[str, list[Region]]], left: list[tuple[str, Box]]) -> None:
    assert said(*files) == left


def test_a_mask_that_only_the_second_file_has_is_kept() -> None:
    """Boxes in one file and outlines in another, as COCO's keypoints and instances: the thing has both."""
    masked = region("dog", NEAR_A, masks=(Mask(polygons=SQUARE, score=1.0),))
    files = [Annotations(regions=(region("dog", A),)), Annotations(regions=(masked,)), Annotations(regions=(masked,))]
    once = said_once(tables_of(*((human(str(number)), one) for number, one in enumerate(files))))
    (kept,), (mask,) = once["regions"].to_pylist(), once["masks"].to_pylist()
    assert mask["subject_id"] == kept["id"]


def test_a_machine_s_words_are_never_a_person_s_second_ones() -> None:
    """What models see twice is for the filters, with a verdict on each."""
    detector = Source(annotator="detector", model="m", revision="1")
    one = Annotations(regions=(region("dog", A),), texts=(Text(granularity="brief", text="a dog", score=1.0),))
    once = said_once(tables_of((human("a"), one), (detector, one), (detector, one)))
    assert (once["regions"].num_rows, once["texts"].num_rows) == (3, 3)


def test_a_caption_in_two_files_is_one_with_the_phrases_of_both() -> None:
    def grounded(*phrases: tuple[str, int]) -> Annotations:
        made = tuple(
            Phrase(
                phrase=words, start=start, end=start + len(words), score=1.0,
                regions=(PhraseRegion(box_xyxy=A, score=1.0),),
            )
            for words, start in phrases
        )  # fmt: skip
        return Annotations(texts=(Text(granularity="brief", text="a dog on a mat", score=1.0, phrases=made),))

    files = [grounded(("a dog", 0)), grounded(("a dog", 0), ("a mat", 9)), grounded()]
    once = said_once(tables_of(*((human(str(number)), one) for number, one in enumerate(files))))
    (text,) = once["texts"].to_pylist()
    phrases = {row["id"]: row["phrase"] for row in once["phrases"].to_pylist()}
    assert {row["text_id"] for row in once["phrases"].to_pylist()} == {text["id"]}
    assert sorted(phrases.values()) == ["a dog", "a mat"]
    assert sorted(phrases[row["phrase_id"]] for row in once["phrase_regions"].to_pylist()) == ["a dog", "a mat"]


def test_a_class_is_said_once_by_people_and_stays_beside_its_denial_and_the_word_of_a_model() -> None:
    def one(*names: str) -> tuple[Label, ...]:
        return tuple(Label(label=name, score=1.0) for name in names)

    denied = Annotations(labels=one("traffic_light"), absences=(Absence(label="Traffic Light", score=1.0),))
    model = Source(annotator="seer", model="seer", revision="1")
    files = [(human("a"), Annotations(labels=one("Traffic Light", "dog"))), (human("b"), denied)]
    once = said_once(tables_of(*files, (model, Annotations(labels=one("dog", "dog")))))
    assert once["labels"]["label"].to_pylist() == ["Traffic Light", "dog", "dog", "dog"]
    assert once["absences"]["label"].to_pylist() == ["Traffic Light"]
