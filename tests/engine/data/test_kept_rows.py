"""What a report, a coverage and an export take for kept is one answer."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest

from fld_engine.engine.data.kept_rows import box_families, exported, judged_rows, kept, num_dropped, num_kept, status_of
from fld_engine.engine.data.view import PartitionView
from fld_engine.schemas.tables import VERDICT_TARGETS, verdict_schema
from tests.engine.stages.export.view_builder import box, image_row, make_view, small_jpeg

ORDINARY, GOLD = image_row(small_jpeg(1)), image_row(small_jpeg(2), gold=True)
BOX = box(1, 1, 9, 9)


@pytest.fixture
def view() -> PartitionView:
    """A kept and a dropped region on an ordinary image, a kept one on a gold image, and a phrase of each kind."""
    a, b = ORDINARY["id"], GOLD["id"]
    tables = {
        "regions": [
            {"id": "kept", "image_id": a, "kind": "object", **BOX},
            {"id": "dropped", "image_id": a, "kind": "object", **BOX},
            {"id": "sign", "image_id": a, "kind": "text", **BOX},
            {"id": "on gold", "image_id": b, "kind": "object", **BOX},
        ],
        "phrases": [{"id": "seen", "image_id": a}, {"id": "composed", "image_id": a, "derived": True}],
        "phrase_regions": [
            {"id": f"{phrase}'s", "image_id": a, "phrase_id": phrase, **BOX} for phrase in ("seen", "composed")
        ],
    }
    return make_view([ORDINARY, GOLD], tables, dropped=["dropped"], status={"nanodet": {b: "failed"}})


def ids(table: pa.Table) -> list[str]:
    found: list[str] = table["id"].to_pylist()
    return found


def test_gold_is_kept_and_never_exported(view: PartitionView) -> None:
    assert ids(kept(view, "regions")) == ["kept", "sign", "on gold"]
    assert ids(exported(view)["regions"]) == ["kept", "sign"]
    assert ids(exported(view)["images"]) == [ORDINARY["id"]]


def test_what_nothing_judges_is_kept(view: PartitionView) -> None:
    bare = replace(view, verdicts={})
    assert {name: ids(kept(bare, name)) for name in VERDICT_TARGETS} == {
        name: ids(view.images if name == "images" else view.annotations[name]) for name in VERDICT_TARGETS
    }
    (row,) = judged_rows(bare, "images", ORDINARY["id"])
    assert (row["kept"], row["reason"], row["values"]) == (True, "", {})


def test_boxes_that_agree_by_construction_stand_apart(view: PartitionView) -> None:
    assert {family: ids(boxes) for family, boxes in box_families(exported(view))} == {
        "region-text": ["kept"],
        "scene-text": ["sign"],
        "phrase-region": ["seen's"],
        "derived-phrase-region": ["composed's"],
    }


def test_values_are_those_of_filters_that_were_asked() -> None:
    """Null: dropped before the filter was asked. NaN: its rule does not apply to the row."""
    image = ORDINARY["id"]
    verdicts = pa.table(
        {
            "id": ["r"], "image_id": [image], "kept": [False], "reason": ["small"], "chosen": [False],
            "size": [3.0], "votes": [float("nan")], "overlap": pa.array([None], pa.float64()),
        },
        schema=verdict_schema(["size", "votes", "overlap"]),
    )  # fmt: skip
    seen = make_view([ORDINARY], {"regions": [{"id": "r", "image_id": image, **BOX}]})
    (row,) = judged_rows(replace(seen, verdicts={"regions": verdicts}), "regions", image)
    assert (row["kept"], row["reason"], row["values"]) == (False, "small", {"size": 3.0})
    assert (num_kept(verdicts), num_dropped(verdicts)) == (0, {"small": 1})
    assert (num_kept(verdicts.slice(0, 0)), num_dropped(verdicts.slice(0, 0))) == (0, {})


def test_a_failed_annotator_is_named(view: PartitionView) -> None:
    assert status_of(view, GOLD["id"]) == {"captioner": "done", "nanodet": "failed", "matcher": "done"}
