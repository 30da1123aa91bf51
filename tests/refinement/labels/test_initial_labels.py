"""The labels that the first round begins with."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from fld_engine.refinement.labels.initial_labels import kept_labels, statuses
from fld_engine.schemas.tables import TABLES
from tests.refinement.labelled_view import NOBODY, REMADE, B, ids, view


def test_what_the_verdicts_drop_is_not_carried_and_takes_its_own_along() -> None:
    labels = kept_labels(view(dropped=["cat"]), REMADE, NOBODY)
    assert ids(labels, "regions") == ["dog", "sign", "car"]
    assert ids(labels, "region_texts") == ["dog-name", "sign-words", "car-name"]
    assert ids(labels, "masks") == []
    assert ids(labels, "similarities") == ["s1"]


def test_what_is_made_again_is_not_carried() -> None:
    labels = kept_labels(view(), REMADE, NOBODY)
    assert [labels[name].num_rows for name in ("tokens", "phrases", "phrase_regions", "checks")] == [0, 0, 0, 0]
    assert "cat-chunk" not in ids(labels, "region_texts")
    kept = kept_labels(view(), frozenset(), NOBODY)
    assert [kept[name].num_rows for name in ("tokens", "phrases", "phrase_regions", "checks")] == [1, 1, 1, 0]
    assert "cat-chunk" in ids(kept, "region_texts")


def test_groundings_of_people_are_carried_though_others_are_made_again() -> None:
    seen = view()
    for name in ("phrases", "phrase_regions"):
        table = seen.annotations[name]
        by_people = table.set_column(table.schema.get_field_index("annotator"), "annotator", [["human"]])
        seen = replace(seen, annotations={**seen.annotations, name: by_people})
    labels = kept_labels(seen, REMADE, NOBODY)
    assert (ids(labels, "phrases"), ids(labels, "phrase_regions")) == (["p"], ["pr"])


def test_classes_that_people_tell_are_carried_and_so_is_what_is_absent() -> None:
    seen = view()
    row = {"id": "c", "image_id": B["id"], "label": "cat", "score": 1.0, "annotator": "human", "model": "", "round": 0}
    classes = {name: pa.Table.from_pylist([row], schema=TABLES[name].schema) for name in ("labels", "absences")}
    carried = kept_labels(replace(seen, annotations={**seen.annotations, **classes}), REMADE, NOBODY)
    assert (ids(carried, "labels"), ids(carried, "absences")) == (["c"], ["c"])


def test_status_is_carried_for_the_families_that_are() -> None:
    seen = view(status={"nanodet": {B["id"]: "failed"}})
    carried = statuses(seen, REMADE)
    assert set(carried) == {"texts", "regions"}
    assert carried["regions"]["status"].to_pylist() == ["done", "failed"]
    assert set(statuses(seen, frozenset())) == {"texts", "regions", "groundings"}


def test_masks_are_carried_unless_their_annotator_runs_again() -> None:
    """It makes them of the boxes that a round leaves; those of people and of instance segmenters nobody makes again."""
    assert ids(kept_labels(view(), REMADE, frozenset({"segmenter"})), "masks") == ["m"]
    assert ids(kept_labels(view(), REMADE, frozenset({"nanodet"})), "masks") == []
