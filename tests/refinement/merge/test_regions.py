"""What becomes of one image's labels; truth of each case stands in its name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fld_engine.refinement.labels.image import RegionLabel
from fld_engine.refinement.merge.regions import merge_regions
from fld_engine.refinement.merge.rules import ADMITTED, UNSUPPORTED, MergeRules

RULES = MergeRules()
CAT = RegionLabel("old", (10.0, 10.0, 50.0, 50.0), "cat", p=0.6, p_label=0.6)
SEEN = RegionLabel("new", (10.0, 10.0, 50.0, 50.0), "cat", p=0.9, p_label=0.9)


def test_agreement_changes_nothing() -> None:
    merged = merge_regions("image", [CAT], [SEEN], RULES)
    assert merged.edits == ()
    assert [(r.id, r.box_xyxy, r.label) for r in merged.labels] == [("old", CAT.box_xyxy, "cat")]


def test_jittered_box_is_moved_towards_the_surer_one() -> None:
    jittered = replace(CAT, box_xyxy=(20.0, 20.0, 60.0, 60.0), p=0.3)  # IoU 0.39
    (edit,) = merge_regions("image", [jittered], [SEEN], RULES).edits
    assert edit.what == "moved"
    # weights 0.3 and 0.9: a quarter of the way from the student's 10 to the label's 20
    assert edit.new["box"] == pytest.approx((12.5, 12.5, 52.5, 52.5))


def test_box_that_agrees_or_is_surer_stays() -> None:
    near = replace(CAT, box_xyxy=(16.0, 16.0, 56.0, 56.0), p=0.3)  # IoU 0.57
    surer = replace(CAT, box_xyxy=(20.0, 20.0, 60.0, 60.0), p=0.95)
    assert merge_regions("image", [near], [SEEN], RULES).edits == ()
    assert merge_regions("image", [surer], [SEEN], RULES).edits == ()
    (edit,) = merge_regions("image", [near], [SEEN], MergeRules(settled_iou=0.9)).edits
    assert edit.new["box"] == pytest.approx((11.5, 11.5, 51.5, 51.5))


def test_swapped_label_is_put_right_where_the_student_sees_the_thing() -> None:
    swapped = replace(CAT, label="dog", p_label=0.1, runner_up="cat", p_runner_up=0.8)
    merged = merge_regions("image", [swapped], [SEEN], RULES)
    assert [edit.what for edit in merged.edits] == ["relabelled"]
    assert merged.labels[0].label == "cat"
    assert merged.labels[0].id == "old"


def test_swapped_label_is_put_right_where_the_student_only_answers_when_asked() -> None:
    swapped = replace(CAT, label="dog", p_label=0.1, runner_up="cat", p_runner_up=0.8)
    (edit,) = merge_regions("image", [swapped], [], RULES).edits
    assert (edit.what, edit.old, edit.new) == ("relabelled", {"label": "dog"}, {"label": "cat"})


def test_label_stands_where_the_other_is_hardly_more_likely() -> None:
    close = replace(CAT, label="dog", p_label=0.75, runner_up="cat", p_runner_up=0.8)
    assert merge_regions("image", [close], [SEEN], RULES).edits == ()


def test_spurious_label_is_dropped_with_a_reason() -> None:
    (edit,) = merge_regions("image", [replace(CAT, p=0.1)], [], RULES).edits
    assert (edit.what, edit.why) == ("removed", UNSUPPORTED)


@pytest.mark.parametrize(
    ("p_label", "p_runner_up", "what"),
    [(0.2, 0.3, ["removed"]), (0.2, 0.8, ["relabelled"]), (0.8, 0.1, [])],
    ids=["no name is likely", "another is", "this is"],
)
def test_place_and_name_decide_together_whether_an_unsupported_label_stays(
    p_label: float, p_runner_up: float, what: list[str]
) -> None:
    doubtful = replace(CAT, p=0.5, p_label=p_label, runner_up="dog", p_runner_up=p_runner_up)
    assert [edit.what for edit in merge_regions("image", [doubtful], [], RULES).edits] == what


def test_label_whose_place_could_not_be_asked_about_is_not_doubted() -> None:
    merged = merge_regions("image", [replace(CAT, p=0.0, place_asked=False)], [], RULES)
    assert merged.edits == ()


def test_label_that_the_student_misses_but_thinks_likely_stays() -> None:
    merged = merge_regions("image", [CAT], [], RULES)
    assert merged.edits == ()
    assert merged.labels == (CAT,)


def test_missing_label_is_added_above_the_precision_target_alone() -> None:
    sure, unsure = replace(SEEN, p=0.95, p_label=0.95), replace(SEEN, p=0.7, p_label=0.7)  # 0.49 is below 0.5
    (edit,) = merge_regions("image", [], [sure], RULES).edits
    assert (edit.what, edit.why, edit.annotation_id) == ("added", ADMITTED, "new")
    assert merge_regions("image", [], [unsure], RULES).edits == ()


def test_second_sight_of_a_label_is_not_added() -> None:
    """Two boxes on one thing: one is matched to the label, the other must not become a second label."""
    twice = replace(SEEN, id="again", box_xyxy=(12.0, 12.0, 50.0, 50.0), p=1.0, p_label=1.0)
    merged = merge_regions("image", [CAT], [SEEN, twice], RULES)
    assert [label.id for label in merged.labels] == ["old"]


def test_badly_placed_label_is_moved_not_replaced() -> None:
    """IoU 1/3 and the same name: one thing. Its id, and what hangs on it, must live on."""
    off = replace(CAT, box_xyxy=(30.0, 10.0, 70.0, 50.0), p=0.1)
    merged = merge_regions("image", [off], [SEEN], RULES)
    assert [edit.what for edit in merged.edits] == ["moved"]
    assert merged.labels[0].id == "old"
    assert merged.labels[0].box_xyxy == pytest.approx((12.0, 10.0, 52.0, 50.0))  # weights 0.1 and 0.9


def test_dropped_label_makes_room_for_a_better_one() -> None:
    """The old box is too far off to be the same thing, but it must not block the right one."""
    off = replace(CAT, label="dog", box_xyxy=(30.0, 10.0, 70.0, 50.0), p=0.1)
    merged = merge_regions("image", [off], [SEEN], RULES)
    assert [edit.what for edit in merged.edits] == ["removed", "added"]


_PLACES = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(5, 40), st.integers(5, 40)).map(
    lambda v: (float(v[0]), float(v[1]), float(v[0] + v[2]), float(v[1] + v[3]))
)
_SHARES = st.floats(0, 1).map(lambda p: round(p, 4))
_LABELS = st.builds(
    RegionLabel,
    id=st.uuids().map(str),
    box_xyxy=_PLACES,
    label=st.sampled_from(["cat", "dog"]),
    p=_SHARES,
    p_label=_SHARES,
    protected=st.booleans(),
    runner_up=st.sampled_from(["", "cat", "dog"]),
    p_runner_up=_SHARES,
)


@given(st.lists(_LABELS, max_size=5), st.lists(_LABELS, max_size=5))
def test_ledger_accounts_for_every_difference_and_people_are_never_overruled(
    old: list[RegionLabel], seen: list[RegionLabel]
) -> None:
    merged = merge_regions("image", old, seen, RULES)
    after = {label.id: label for label in merged.labels}
    edits = {(edit.annotation_id, edit.what) for edit in merged.edits}
    assert len(edits) == len(merged.edits)
    for label in old:
        if label.protected:
            assert after[label.id] == label
        assert ((label.id, "removed") in edits) == (label.id not in after)
        if label.id in after:
            assert ((label.id, "moved") in edits) == (after[label.id].box_xyxy != label.box_xyxy)
            assert ((label.id, "relabelled") in edits) == (after[label.id].label != label.label)
    assert {i for i, what in edits if what == "added"} == after.keys() - {label.id for label in old}
