"""Labels between rounds: what is carried, and that edits of tables are the edits of a round."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fld_engine.engine.data.rows import concat
from fld_engine.engine.data.view import PartitionView
from fld_engine.refinement.carry import apply_edits, kept_labels, of_images, statuses
from fld_engine.refinement.labels import gold_of, judgements, labelled_images, of_people
from fld_engine.refinement.ledger import Edit
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.tables import ANNOTATION_TABLES
from tests.engine.stages.export.view_builder import box, fill, image_row, make_view, small_jpeg

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


def test_status_is_carried_for_the_families_that_are() -> None:
    seen = view(status={"nanodet": {B["id"]: "failed"}})
    carried = statuses(seen, REMADE)
    assert set(carried) == {"texts", "regions"}
    assert carried["regions"]["status"].to_pylist() == ["done", "failed"]
    assert set(statuses(seen, frozenset())) == {"texts", "regions", "groundings"}


def test_edits_change_what_they_name_and_nothing_else() -> None:
    labels = kept_labels(view(), frozenset(), NOBODY)
    edited = apply_edits(
        labels,
        [
            edit("moved", "regions", "cat", new={"box": (2.0, 2.0, 8.0, 8.0)}),
            edit("relabelled", "region_texts", "cat", new={"label": "fox"}),
            edit("removed", "regions", "dog"),
            edit("added", "regions", "new", new={"box": (3.0, 3.0, 6.0, 6.0), "label": "hat"}),
            edit("rewritten", "texts", "brief", new={"text": "a fox"}),
        ],
        AFTER,
    )
    rows = {row["id"]: row for row in edited["regions"].to_pylist()}
    assert list(rows) == ["cat", "sign", "car", "new"]
    assert [rows["cat"][c] for c in ("x1", "y1", "x2", "y2", "annotator", "round")] == [2, 2, 8, 8, "refinement", 2]
    assert rows["new"]["score"] == 0.75
    for untouched in ("sign", "car"):
        assert rows[untouched] == next(r for r in labels["regions"].to_pylist() if r["id"] == untouched)
    texts = {row["id"]: row["text"] for row in edited["region_texts"].to_pylist()}
    assert texts == {
        "cat-name": "fox", "cat-brief": "a small cat", "cat-chunk": "small cat", "sign-words": "OPEN",
        "car-name": "car", "newn": "hat",
    }  # fmt: skip
    assert [row["text"] for row in edited["texts"].to_pylist()] == ["a fox"]
    stale = ("masks", "similarities", "tokens", "phrases", "phrase_regions")
    assert [edited[name].num_rows for name in stale] == [0, 0, 0, 0, 0], "nothing speaks of what is no more"


def test_a_text_that_was_missing_is_added() -> None:
    new = {"granularity": "detailed", "text": "A cat sits beside a dog."}
    edited = apply_edits(kept_labels(view(), REMADE, NOBODY), [edit("added", "texts", "t2", new=new)], AFTER)
    added = edited["texts"].to_pylist()[-1]
    assert (added["id"], added["granularity"], added["text"], added["composed"]) == ("t2", *new.values(), False)
    assert ids(edited, "similarities") == ["s1", "s2"]


def test_no_edit_leaves_every_table_as_it_was() -> None:
    labels = kept_labels(view(), frozenset(), NOBODY)
    assert all(table.equals(labels[name]) for name, table in apply_edits(labels, [], AFTER).items())


def test_labels_are_read_as_a_round_works_on_them() -> None:
    labels = kept_labels(view(), REMADE, NOBODY)
    first, second = labelled_images(view().images, [B["id"]], labels, ["cat", "dog", "car"], seed=0)
    assert [(region.id, region.label) for region in first.regions] == [("cat", "cat"), ("dog", "dog")], "no scene text"
    assert first.texts[0].named == ("cat", "dog")
    assert first.gold_split == ""
    assert second.gold_split in ("calibrate", "gate", "final")


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
    assert (cat.p, cat.p_label, cat.rival, cat.p_rival) == (0.9, 0.4, "dog", 0.5)
    assert (dog.p, dog.p_label, dog.rival) == (0.0, 0.0, ""), "nothing was said of it"
    (seen,) = judged.seen
    assert (seen.label, seen.p, seen.p_label, seen.rival, seen.p_rival) == ("cat", 0.8, 0.7, "dog", 0.2)
    assert judged.old_texts[0].p == 0.6
    assert judged.seen_texts[0].named == ("dog",)


def test_gold_is_what_people_said() -> None:
    truth = of_images(kept_labels(view(), frozenset(), NOBODY), view().images["id"].slice(0, 1))
    (gold,) = gold_of(truth).values()
    assert gold.regions.labels == ["cat", "dog"]
    assert gold.texts == ("a cat and a dog",)
    assert gold.masks == (((1.0, 1.0, 9.0, 1.0, 9.0, 9.0),), ())
    assert (gold.read.labels, gold.read.xyxy.tolist()) == (["OPEN"], [[0, 0, 4, 4]])
    assert [(phrase, boxes.tolist()) for phrase, boxes in gold.phrases] == [("a cat", [[1, 1, 9, 9]])]


def test_captions_found_on_the_web_are_nobodys_reference() -> None:
    """An image of a gold json may be in tars, too, with whatever stood beside it on a page."""
    said = kept_labels(view(), frozenset(), NOBODY)
    assert gold_of(of_people(said)) == {}, "nanodet is nobody"
    texts = said["texts"].set_column(said["texts"].schema.get_field_index("annotator"), "annotator", [["human"]])
    assert gold_of(of_people({**said, "texts": texts}))[A["id"]].texts == ("a cat and a dog",)


def test_masks_are_carried_unless_their_annotator_runs_again() -> None:
    """It makes them of the boxes that a round leaves; those of people and of instance segmenters nobody makes again."""
    assert ids(kept_labels(view(), REMADE, frozenset({"segmenter"})), "masks") == ["m"]
    assert ids(kept_labels(view(), REMADE, frozenset({"nanodet"})), "masks") == []
