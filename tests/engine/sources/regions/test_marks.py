"""Numbers and boxes as label files write them."""

from __future__ import annotations

import pytest

from fld_engine.engine.sources.regions.marks import Mark, corners_rotated, regions_of
from fld_engine.engine.sources.values import finite, whole
from fld_engine.schemas.annotations import Region, Source

HUMAN = Source(annotator="human", model="human", revision="abc")
MACHINE = Source(annotator="detector-x", model="detector-x", revision="")


@pytest.mark.parametrize(
    ("written", "value"), [("7", 7), (" 7.0 ", 7), (7, 7), ("7.5", None), ("n", None), (True, None)]
)
def test_a_whole_number_may_be_text(written: object, value: int | None) -> None:
    assert whole(written) == value


@pytest.mark.parametrize("written", ["nan", "inf", "", None, [1], False])
def test_what_is_no_finite_number_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"no|could not"):
        finite(written)


def test_a_quarter_turn_swaps_the_sides_of_a_box() -> None:
    corners = corners_rotated((50, 40), (20, 10), 90)
    assert corners == pytest.approx([55, 30, 55, 50, 45, 50, 45, 30])


def test_what_a_machine_drew_is_the_machines_and_refused_as_no_persons() -> None:
    marks = [
        Mark("s#0", "cup", {"bbox": [1, 2, 3, 4]}, MACHINE, score=0.25),
        Mark("s#1", "cup", {"bbox": [1, 2, 0, 4]}, MACHINE),
        Mark("s#2", "cup", {"bbox": [1, 2, 0, 4]}, HUMAN),
    ]
    region, *refused = regions_of(marks, (100, 80), (100, 80), 1, "")
    assert isinstance(region, Region)
    assert (region.source, region.score, region.texts[0].source) == (MACHINE, 0.25, MACHINE)
    assert [(one.by, one.reason) for one in refused] == [("web", "box_empty"), ("human", "box_empty")]  # type: ignore[union-attr]


def test_marks_of_the_stored_picture_are_turned_and_those_of_another_size_refused() -> None:
    tall = Mark("s#0", "cup", {"bbox": [65, 10, 15, 30]}, HUMAN)  # beyond the upright 60 x 80
    (turned,) = regions_of([tall], (80, 60), (60, 80), 6, "")
    assert isinstance(turned, Region)
    assert turned.box_xyxy == (20, 65, 50, 80)  # orientation 6: x of the stored picture runs downwards
    (refused,) = regions_of([tall], (640, 480), (60, 80), 6, "")
    assert refused.reason == "frame_mismatch"  # type: ignore[union-attr]
