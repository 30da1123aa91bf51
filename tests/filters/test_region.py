from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from fld_engine.engine.data.geometry import pairwise_iou
from fld_engine.engine.plan.protocols import Filter
from fld_engine.filters.region import RegionConfidence, RegionNms, RegionSureImage, RegionVotes
from tests.tables import rows

BOX = (0.0, 0.0, 10.0, 10.0)
NEAR = (0.0, 0.0, 10.0, 8.0)  # IoU 0.8 with BOX
HALF = (0.0, 0.0, 10.0, 5.0)  # IoU 0.5 with BOX
FAR = (50.0, 50.0, 60.0, 60.0)


def region(score: float = 0.5, box: tuple[float, ...] = BOX, phrase: str = "dog", **more: Any) -> dict[str, Any]:
    return {"kind": "object", "score": score, "box": box, "phrase": phrase, **more}


def tables(*regions: dict[str, Any]) -> dict[str, pa.Table]:
    """Regions r0, r1, … and their phrases."""
    texts = [{"region_id": f"r{i}", "kind": "phrase", "text": r["phrase"]} for i, r in enumerate(regions)]
    return {
        "regions": rows(
            "regions", *({"id": f"r{i}"} | {k: v for k, v in r.items() if k != "phrase"} for i, r in enumerate(regions))
        ),
        "region_texts": rows("region_texts", *texts),
    }


@pytest.mark.parametrize(
    ("given_region", "kept"),
    [
        (region(0.35), True),  # the bound itself is enough
        (region(0.3499), False),
        (region(0.49, kind="text", phrase=""), False),  # scene text has its own bound
        (region(0.5, kind="text", phrase=""), True),
        (region(0.6, phrase="cat"), False),  # the class has a bound of 0.7
        (region(0.2, phrase="cat", annotator="shy"), False),  # the class goes before the annotator
        (region(0.2, annotator="shy"), True),  # the annotator goes before the kind
        (region(0.2, kind="text", annotator="shy", phrase="cat"), True),  # scene text has no class
        (region(0.0, annotator="human", phrase="cat"), True),  # people have no score to doubt
    ],
)
def test_confidence(given_region: dict[str, Any], kept: bool) -> None:
    judge = RegionConfidence(RegionConfidence.Params(classes={"cat": 0.7}, annotators={"shy": 0.1}))
    verdicts = judge.decide(tables(given_region))
    assert verdicts.keep.tolist() == [kept]
    assert verdicts.value.tolist() == [given_region["score"]]


@pytest.mark.parametrize(
    ("regions", "kept", "values"),
    [
        # one sure box lets the weak one of its image in
        ([region(0.3), region(0.1)], [True, True], [0.3, 0.3]),
        # but not what is below the floor
        ([region(0.3), region(0.09)], [True, False], [0.3, 0.09]),
        # nothing sure in the image
        ([region(0.29), region(0.2)], [False, False], [0.29, 0.29]),
        # a sure box of another image does not help
        ([region(0.9, image_id="other"), region(0.2)], [True, False], [0.9, 0.2]),
        # scene text neither helps nor is judged
        ([region(0.9, kind="text"), region(0.2)], [True, False], [np.nan, 0.2]),
        # what people drew makes the image sure, whatever its score
        ([region(0.0, annotator="human"), region(0.2)], [True, True], [1.0, 1.0]),
    ],
)
def test_sure_image(regions: list[dict[str, Any]], kept: list[bool], values: list[float]) -> None:
    verdicts = RegionSureImage().decide(tables(*regions))
    assert verdicts.keep.tolist() == kept
    np.testing.assert_array_equal(verdicts.value, values)


@pytest.mark.parametrize(
    ("regions", "kept", "values"),
    [
        # the weaker of two goes, in whichever order they stand
        ([region(0.5), region(0.9, NEAR)], [False, True], [0.8, 0.0]),
        # overlapping less than the bound, both stay
        ([region(0.9), region(0.5, HALF)], [True, True], [0.0, 0.5]),
        # other class, kind or image
        ([region(0.9), region(0.5, phrase="cat")], [True, True], [0.0, 0.0]),
        ([region(0.9), region(0.5, kind="text")], [True, True], [0.0, 0.0]),
        ([region(0.9), region(0.5, image_id="other")], [True, True], [0.0, 0.0]),
        # what overlaps only a dropped region stays: NEAR goes for BOX, and HALF overlaps NEAR by 0.625
        ([region(0.9), region(0.8, NEAR), region(0.7, HALF)], [True, False, True], [0.0, 0.8, 0.5]),
        # the model's region goes for the one that a person drew, however sure it is
        ([region(0.99), region(0.0, NEAR, annotator="human")], [False, True], [0.8, 0.0]),
        # people may draw two on top of each other, and each suppresses
        (
            [region(1.0, annotator="human"), region(1.0, NEAR, annotator="human"), region(0.9, HALF)],
            [True, True, False],
            [0.0, 0.8, 0.625],
        ),
    ],
)
def test_nms(regions: list[dict[str, Any]], kept: list[bool], values: list[float]) -> None:
    verdicts = RegionNms().decide(tables(*regions))
    assert verdicts.keep.tolist() == kept
    assert verdicts.value.tolist() == pytest.approx(values)


MACHINE = {"score": 0.9, "annotator": "model"}
HUMAN = {"score": 1.0, "annotator": "human"}


@pytest.mark.parametrize(
    ("human", "machine", "box", "params", "kept"),
    [
        ("motorbike", "motorcycle", BOX, {}, False),
        ("poodle", "dog", BOX, {}, False),  # a person said it more exactly
        ("animal", "dog", BOX, {}, False),  # or less
        ("dog", "cat", BOX, {}, True),
        ("motorbike", "motorcycle", NEAR, {}, False),  # IoU 0.8
        ("motorbike", "motorcycle", NEAR, {"human_iou": 0.9}, True),
        ("motorbike", "motorcycle", HALF, {}, True),  # IoU 0.5: another one beside it
        ("dog", "dog", NEAR, {"iou": 0.9}, False),  # of one class, too, whatever models' boxes are allowed
    ],
)
def test_a_person_s_thing_under_another_name(
    human: str, machine: str, box: tuple[float, ...], params: dict[str, float], kept: bool
) -> None:
    """Kept twice, one thing is two in `<OD>`, and gold that says it once marks a student down for both."""
    shown = tables(region(phrase=machine, box=box, **MACHINE), region(phrase=human, **HUMAN))
    assert RegionNms(RegionNms.Params(**params)).decide(shown).keep.tolist() == [kept, True]


def test_two_models_names_are_not_compared() -> None:
    """Which of the two is right nobody has said; votes and rounds weigh them."""
    shown = tables(region(0.9, phrase="sofa"), region(0.8, phrase="couch"))
    assert RegionNms().decide(shown).keep.tolist() == [True, True]


def test_scene_text_is_no_object() -> None:
    shown = tables(region(phrase="dog", kind="text", **MACHINE), region(phrase="dog", **HUMAN))
    assert RegionNms().decide(shown).keep.tolist() == [True, True]


_REGIONS = st.lists(
    st.builds(
        region,
        score=st.sampled_from([0.2, 0.5, 0.9]),
        box=st.tuples(st.integers(0, 6), st.integers(0, 6)).map(lambda c: (c[0], c[1], c[0] + 8.0, c[1] + 8.0)),
        phrase=st.sampled_from(["dog", "cat"]),
        annotator=st.sampled_from(["model", "model", "human"]),
    ),
    max_size=10,
)


@given(_REGIONS)
def test_nms_value_explains_the_decision(regions: list[dict[str, Any]]) -> None:
    """`fld explain` shows the value beside the bound: the two must never contradict what happened."""
    judge, shown = RegionNms(), tables(*regions)
    verdicts = judge.decide(shown)
    human = np.array([r["annotator"] == "human" for r in regions], dtype=bool)
    assert verdicts.keep[human].all()
    assert np.array_equal(verdicts.keep[~human], verdicts.value[~human] <= judge.params.iou)


@given(_REGIONS)
def test_nms_is_idempotent_and_no_kept_regions_of_models_overlap(regions: list[dict[str, Any]]) -> None:
    judge = RegionNms()
    kept = [r for r, keep in zip(regions, judge.decide(tables(*regions)).keep, strict=True) if keep]
    assert judge.decide(tables(*kept)).keep.all()
    drawn = [r for r in kept if r["annotator"] == "model"]
    for phrase in ("dog", "cat"):
        boxes = np.array([r["box"] for r in drawn if r["phrase"] == phrase], dtype=np.float64).reshape(-1, 4)
        assert not np.triu(pairwise_iou(boxes, boxes) > judge.params.iou, 1).any()


def seen(by: str, score: float = 0.5, box: tuple[float, ...] = BOX, phrase: str = "dog", **more: Any) -> dict[str, Any]:
    return region(score, box, phrase, annotator=by, **more)


@pytest.mark.parametrize(
    ("regions", "kept", "values"),
    [
        # both see it; a match at the bound counts
        ([seen("a"), seen("b", box=HALF)], [True, True], [2, 2]),
        # one sees it and is not sure
        ([seen("a"), seen("b", box=FAR)], [False, False], [1, 1]),
        # one sees it and is sure
        ([seen("a", 0.6)], [True], [1]),
        # the same detector does not agree with itself
        ([seen("a"), seen("a")], [False, False], [1, 1]),
        # nor do two that name it differently, or see another image
        ([seen("a"), seen("b", phrase="cat")], [False, False], [1, 1]),
        ([seen("a"), seen("b", image_id="other")], [False, False], [1, 1]),
        # a person agrees, and is not asked
        ([seen("a"), seen("human", 0.0)], [True, True], [2, np.nan]),
        # scene text is not asked
        ([seen("a", kind="text")], [True], [np.nan]),
    ],
)
def test_votes(regions: list[dict[str, Any]], kept: list[bool], values: list[float]) -> None:
    verdicts = RegionVotes().decide(tables(*regions))
    assert verdicts.keep.tolist() == kept
    np.testing.assert_array_equal(verdicts.value, values)


def test_votes_of_named_detectors_leave_others_alone() -> None:
    judge = RegionVotes(RegionVotes.Params(detectors=("a", "b")))
    verdicts = judge.decide(tables(seen("a"), seen("c"), seen("c", box=FAR)))
    assert verdicts.keep.tolist() == [False, True, True]  # c is no witness for a
    np.testing.assert_array_equal(verdicts.value, [1, np.nan, np.nan])


def test_votes_that_cannot_be_had_are_refused() -> None:
    """It would drop everything that detector is not sure of."""
    with pytest.raises(ValidationError, match="1 detectors cannot give 2 votes"):
        RegionVotes.Params(detectors=("a",))


def test_more_votes_may_be_asked_for() -> None:
    """Three see the dog, two the cat; a detector that sees a thing twice votes once."""
    regions = [seen("a"), seen("b"), seen("c", box=NEAR), seen("a", phrase="cat"), seen("b", phrase="cat")]
    shown = tables(*regions, seen("b", phrase="cat"))
    verdicts = RegionVotes(RegionVotes.Params(min_votes=3)).decide(shown)
    assert verdicts.keep.tolist() == [True, True, True, False, False, False]
    assert verdicts.value.tolist() == [3, 3, 3, 2, 2, 2]


@pytest.mark.parametrize("judge", [RegionConfidence(), RegionSureImage(), RegionNms(), RegionVotes()])
def test_no_region_is_no_problem(judge: Filter) -> None:
    assert isinstance(judge, Filter)
    verdicts = judge.decide(tables())
    assert (verdicts.keep.shape, verdicts.keep.dtype, verdicts.value.dtype) == ((0,), bool, float)


def test_region_without_a_phrase_has_a_class_of_its_own() -> None:
    """Two overlapping proposals without a name suppress each other, and no named region."""
    shown = tables(region(0.9), region(0.8), region(0.7))
    shown["region_texts"] = shown["region_texts"].slice(0, 1)
    assert RegionNms().decide(shown).keep.tolist() == [True, True, False]


@pytest.mark.parametrize("name", ["Dog", " DOG ", "dog"])
def test_a_class_is_one_class_however_it_is_written(name: str) -> None:
    """People write what they like: a detector's dog on their Dog is the same dog, and its bound that of dogs."""
    two = tables(region(0.9, annotator="first"), region(0.5, NEAR, phrase=name, annotator="second"))
    assert RegionNms().decide(two).keep.tolist() == [True, False]
    assert RegionVotes().decide(two).value.tolist() == [2, 2]
    judge = RegionConfidence(RegionConfidence.Params(classes={"Dog": 0.95}))
    assert judge.decide(two).keep.tolist() == [False, False]
