"""What an annotator gets to see of the tables of a partition."""

from __future__ import annotations

import pytest

from fld_engine.engine.data.work_set import WorkSet, cut_to_work_set, select_kinds
from fld_engine.schemas.kinds import Kind
from fld_engine.schemas.tables import ANNOTATION_TABLES
from tests.tables import annotations, rows

ALL = annotations(
    texts=rows("texts", *({"id": g, "granularity": g} for g in ("brief", "detailed", "more_detailed"))),
    regions=rows("regions", {"id": "thing", "kind": "object"}, {"id": "sign", "kind": "text"}),
    region_texts=rows("region_texts", *({"id": k, "kind": k} for k in ("phrase", "brief", "chunk", "ocr"))),
    masks=rows("masks", {"id": "mask"}),
    checks=rows("checks", {"id": "check"}),
)
SCORES = {"sure": 0.9, "unsure": 0.2}


@pytest.mark.parametrize(
    ("kinds", "seen"),
    [
        ({"pixels"}, set()),
        ({"objects"}, {"thing", "phrase"}),
        ({"scene_text", "pixels"}, {"sign", "ocr"}),
        ({"objects", "scene_text"}, {"thing", "sign", "phrase", "ocr"}),
        ({"region_categories"}, {"phrase"}),  # names, without the regions
        ({"region_briefs", "region_chunks"}, {"brief", "chunk"}),
        ({"detailed_texts"}, {"detailed", "more_detailed"}),
        ({"brief_texts", "masks"}, {"brief", "mask"}),
        ({"checks"}, {"check"}),
    ],
)
def test_an_annotator_sees_the_rows_of_its_kinds_alone(kinds: set[Kind], seen: set[str]) -> None:
    shown = select_kinds(ALL, frozenset(kinds))
    assert shown.keys() == ANNOTATION_TABLES.keys(), "every table is there, empty or not"
    assert {row for table in shown.values() if "id" in table.schema.names for row in table["id"].to_pylist()} == seen


def test_what_is_said_of_a_region_goes_with_it() -> None:
    """An annotator that gets a mask or a check of a region it does not get could look it up nowhere."""
    regions = [{"id": name, "kind": "object", "score": score, "x2": 9.0, "y2": 9.0} for name, score in SCORES.items()]
    about = [{"id": f"of {name}", "subject_id": name} for name in SCORES]
    tables = annotations(
        regions=rows("regions", *regions),
        region_texts=rows("region_texts", *({"region_id": name, "kind": "brief", "text": "it"} for name in SCORES)),
        masks=rows("masks", *about, {"id": "of a phrase's box", "subject_id": "box"}),
        checks=rows("checks", *about),
    )
    cut = cut_to_work_set(tables, WorkSet(min_score=0.3))
    assert cut["regions"]["id"].to_pylist() == ["sure"]
    assert cut["region_texts"]["region_id"].to_pylist() == ["sure"]
    assert cut["masks"]["subject_id"].to_pylist() == ["sure", "box"]
    assert cut["checks"]["subject_id"].to_pylist() == ["sure"]


@pytest.mark.parametrize(("other", "shown"), [("traffic light", 1), ("Traffic_Light", 1), ("lamp", 2)])
def test_copies_of_a_thing_are_copies_however_they_are_called(other: str, shown: int) -> None:
    names = {"a": "traffic light", "b": other}
    regions = [{"id": i, "kind": "object", "score": 0.9, "x2": 9.0, "y2": 9.0} for i in names]
    texts = [{"id": f"{i}n", "region_id": i, "kind": "phrase", "text": text} for i, text in names.items()]
    tables = annotations(regions=rows("regions", *regions), region_texts=rows("region_texts", *texts))
    assert cut_to_work_set(tables, WorkSet())["regions"].num_rows == shown
