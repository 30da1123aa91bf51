"""A partition with labels of every kind on one of its two images."""

from __future__ import annotations

from typing import Any

from fld_engine.engine.data.view import PartitionView
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.schemas.annotations import Source
from tests.engine.stages.export.view_builder import box, image_row, make_view, small_jpeg

A, B = (image_row(small_jpeg(seed)) for seed in (1, 2))
AFTER = Source(annotator="refinement", model="student", revision="abc", round=2)
REMADE = frozenset({"tokens", "region_chunks", "groundings", "masks"})
NOBODY: frozenset[str] = frozenset()


def view(**more: Any) -> PartitionView:
    """Two objects (one with mask and quad), a sign, a text with parse and grounding on image A; an object on B."""
    of_a: dict[str, list[dict[str, Any]]] = {
        "regions": [
            {"id": "cat", "kind": "object", **box(1, 1, 9, 9)},
            {"id": "dog", "kind": "object", **box(10, 2, 20, 12)},
            {"id": "sign", "kind": "text", **box(0, 0, 4, 4), "quad": [0.0, 0.0, 4.0, 0.0, 4.0, 4.0, 0.0, 4.0]},
        ],
        "region_texts": [
            {"id": "cat-name", "region_id": "cat", "kind": "phrase", "text": "cat"},
            {"id": "cat-brief", "region_id": "cat", "kind": "brief", "text": "a small cat"},
            {"id": "cat-chunk", "region_id": "cat", "kind": "chunk", "text": "small cat"},
            {"id": "dog-name", "region_id": "dog", "kind": "phrase", "text": "dog"},
            {"id": "sign-words", "region_id": "sign", "kind": "ocr", "text": "OPEN"},
        ],
        "texts": [{"id": "brief", "granularity": "brief", "text": "a cat and a dog"}],
        "masks": [{"id": "m", "subject_id": "cat", "polygons": [[1.0, 1.0, 9.0, 1.0, 9.0, 9.0]]}],
        "similarities": [
            {"id": "s1", "subject_id": "brief", "score": 0.3},
            {"id": "s2", "subject_id": "cat-name", "score": 0.2},
        ],
        "phrases": [{"id": "p", "text_id": "brief", "phrase": "a cat", "start": 0, "end": 5}],
        "phrase_regions": [{"id": "pr", "phrase_id": "p", "region_id": "cat", **box(1, 1, 9, 9)}],
        "checks": [{"id": "c", "subject_id": "cat", "question": "holds", "score": 0.9}],
        "tokens": [{"text_id": "brief", "index": 0, "start": 0, "end": 1, "text": "a"}],
    }
    tables = {name: [{"image_id": A["id"], **row} for row in rows] for name, rows in of_a.items()}
    tables["regions"].append({"id": "car", "image_id": B["id"], "kind": "object", **box(0, 0, 5, 5)})
    tables["region_texts"].append(
        {"id": "car-name", "image_id": B["id"], "region_id": "car", "kind": "phrase", "text": "car"}
    )
    return make_view([A, B], tables, **more)


def ids(labels: Any, name: str) -> list[str]:
    column: list[str] = labels[name]["id"].to_pylist()
    return column


def edit(what: Any, table: str, identity: str, **values: Any) -> Edit:
    return Edit(
        unit="texts" if table == "texts" else "regions", image_id=A["id"], table=table, annotation_id=identity,
        what=what, why="test", p_new=0.75, **values,
    )  # fmt: skip
