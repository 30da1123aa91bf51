"""Which texts of a specialist are added, and what of an image is put before gold."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from fld_engine.engine.data.view import PartitionView
from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.gate.sparse_gate import SparseGate, TextComparison, judge_written
from fld_engine.refinement.loop.sparse_texts import compare_texts, dropped_texts, missing_texts
from tests.tables import annotations, rows

NAME = "specialist-2"
LABELS = rows(
    "texts",
    {"image_id": "a", "id": "1", "granularity": "brief", "text": "a dog"},
    {"image_id": "a", "id": "2", "granularity": "detailed", "text": "by people", "annotator": "human"},
    {"image_id": "b", "id": "3", "granularity": "detailed", "text": "by rule", "composed": True},
)
WRITTEN = [
    {
        "image_id": image,
        "id": f"w{image}",
        "granularity": "detailed",
        "text": f"of {image}",
        "annotator": NAME,
        "score": 0.5,
    }
    for image in ("a", "b", "c", "d")
]


@pytest.fixture
def view() -> PartitionView:
    """What the specialist wrote beside the labels; a filter dropped its text of `d`."""
    texts = pa.concat_tables([LABELS, rows("texts", *WRITTEN)])
    kept = np.array([True] * 6 + [False])
    verdicts = pa.table({"kept": kept, "reason": np.where(kept, "", "text-objects")})
    return PartitionView("p", rows("images"), annotations(texts=texts), {}, {"texts": verdicts}, {}, {})


def no_gold(granularity: str) -> SparseGate:
    assert granularity in ("detailed", "more_detailed")
    return judge_written("detailed" if granularity == "detailed" else "more_detailed", [], GateRules(), seed=0)


def test_every_image_without_a_text_by_people_or_models_gets_one(view: PartitionView) -> None:
    edits = missing_texts(view, NAME, LABELS, [no_gold("detailed")])
    assert [(edit.image_id, edit.annotation_id, edit.new["text"]) for edit in edits] == [
        ("b", "wb", "of b"),  # what was composed by rule is no answer
        ("c", "wc", "of c"),
    ]
    assert {(edit.what, edit.p_new) for edit in edits} == {("added", 0.5)}
    assert all("not measured" in edit.why for edit in edits)
    assert dropped_texts(view, NAME) == ["text-objects"]


def test_another_granularity_is_not_its_business(view: PartitionView) -> None:
    assert not missing_texts(view, NAME, LABELS, [no_gold("more_detailed")])


def test_gold_judges_what_would_be_kept(view: PartitionView) -> None:
    gold = rows(
        "texts",
        *({"image_id": i, "id": i, "granularity": "detailed", "text": f"gold {i} {n}"} for i in "ad" for n in (1, 2)),
        {"image_id": "c", "id": "g", "granularity": "brief", "text": "gold of another granularity"},
    )
    compared = compare_texts("detailed", ["a", "c", "d"], gold, LABELS, view, NAME)
    assert compared == [TextComparison(("gold a 1", "gold a 2"), "of a", brief="a dog", small="by people")]
    assert compare_texts("detailed", ["c"], gold, LABELS, view, NAME) == []
