"""Edits of tables are the edits of a round."""

from __future__ import annotations

from fld_engine.refinement.labels.edits import apply_edits
from fld_engine.refinement.labels.initial_labels import kept_labels
from tests.refinement.labelled_view import AFTER, NOBODY, REMADE, edit, ids, view


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
