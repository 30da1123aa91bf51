from __future__ import annotations

from typing import Any

from fld_engine.engine.data.rows import concat
from fld_engine.refinement.labels.initial_labels import kept_labels
from fld_engine.refinement.labels.judgement import judgements
from fld_engine.refinement.labels.tables import labelled_images
from fld_engine.schemas.tables import ANNOTATION_TABLES
from tests.engine.stages.export.view_builder import box, fill
from tests.refinement.labelled_view import NOBODY, REMADE, A, view


def test_what_a_student_says_becomes_a_judgement() -> None:
    labels = kept_labels(view(), REMADE, NOBODY)
    images = labelled_images(view().images, [], labels, ["cat", "dog"], seed=0)
    rows: dict[str, list[dict[str, Any]]] = {
        "checks": [
            {"id": "1", "image_id": A["id"], "subject_id": "cat", "question": "placed", "score": 0.9},
            {"id": "2", "image_id": A["id"], "subject_id": "cat", "question": "holds", "score": 0.4},
            {"id": "3", "image_id": A["id"], "subject_id": "brief", "question": "holds", "score": 0.6},
        ],
        "regions": [{"id": "seen", "image_id": A["id"], "kind": "object", "score": 0.8, **box(0, 0, 7, 7)}],
        "region_texts": [
            {"id": "4", "image_id": A["id"], "region_id": "seen", "kind": "phrase", "text": "cat", "score": 0.7},
            {"id": "5", "image_id": A["id"], "region_id": "seen", "kind": "phrase", "text": "dog", "score": 0.2},
            {"id": "6", "image_id": A["id"], "region_id": "cat", "kind": "phrase", "text": "dog", "score": 0.5},
        ],
        "texts": [{"id": "7", "image_id": A["id"], "granularity": "brief", "text": "a dog", "score": 0.3}],
    }
    said = concat([{name: fill(ANNOTATION_TABLES[name], of_table) for name, of_table in rows.items()}])
    judged = judgements(images, said, ["cat", "dog"])[A["id"]]
    cat, dog = judged.old
    assert (cat.p, cat.p_label, cat.runner_up, cat.p_runner_up) == (0.9, 0.4, "dog", 0.5)
    assert (dog.p, dog.p_label, dog.runner_up) == (0.0, 0.0, ""), "nothing was said of it"
    (seen,) = judged.seen
    assert (seen.label, seen.p, seen.p_label, seen.runner_up, seen.p_runner_up) == ("cat", 0.8, 0.7, "dog", 0.2)
    assert judged.old_texts[0].p == 0.6
    assert judged.seen_texts[0].named == ("dog",)
