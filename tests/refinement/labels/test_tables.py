from __future__ import annotations

from fld_engine.refinement.labels.initial_labels import kept_labels
from fld_engine.refinement.labels.tables import gold_of, labelled_images, of_images, of_people
from tests.refinement.labelled_view import NOBODY, REMADE, A, B, view


def test_labels_are_read_as_a_round_works_on_them() -> None:
    labels = kept_labels(view(), REMADE, NOBODY)
    first, second = labelled_images(view().images, [B["id"]], labels, ["cat", "dog", "car"], seed=0)
    assert [(region.id, region.label) for region in first.regions] == [("cat", "cat"), ("dog", "dog")], "no scene text"
    assert first.texts[0].named == ("cat", "dog")
    assert first.gold_split == ""
    assert second.gold_split in ("calibrate", "gate", "final")


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
