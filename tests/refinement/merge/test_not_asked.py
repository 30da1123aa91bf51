"""What a student could not be asked about is no evidence, for or against: such a label ends as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fld_engine.engine.data.rows import RowWriter
from fld_engine.refinement.labels.boxes import Boxes
from fld_engine.refinement.labels.gold import Gold
from fld_engine.refinement.labels.image import LabelledImage, RegionLabel, TextLabel
from fld_engine.refinement.labels.judgement import Judgement, judgements
from fld_engine.refinement.merge.calibration import calibrate
from fld_engine.refinement.merge.regions import merge_regions
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.refinement.merge.texts import merge_texts
from fld_engine.refinement.student.annotator import annotations_of
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.tables import ANNOTATION_TABLES

RULES = MergeRules()
BOX, NEAR, FAR = (10.0, 10.0, 60.0, 60.0), (10.0, 10.0, 60.0, 34.0), (70.0, 70.0, 95.0, 95.0)
SEEN = RegionLabel("s", NEAR, "cat", 0.9, 0.9)
UNASKED_NAME = RegionLabel("r", BOX, "김밥", 0.9, 0.0, runner_up="cat", p_runner_up=0.9, name_asked=False)
UNASKED_PLACE = RegionLabel("r", BOX, "cat", 0.0, 0.9, place_asked=False)
UNASKED = replace(UNASKED_NAME, p=0.0, place_asked=False)


@pytest.mark.parametrize("label", [UNASKED_NAME, UNASKED_PLACE, UNASKED])
@pytest.mark.parametrize("seen", [[], [SEEN]])
def test_a_label_that_was_not_asked_about_stays(label: RegionLabel, seen: list[RegionLabel]) -> None:
    """Under rules that believe a student in everything: it is not renamed, moved or removed."""
    eager = RULES.model_copy(update={"relabel_margin": 0.0, "drop_below": 1.0, "settled_iou": 1.0, "jitter_iou": 0.1})
    if label.place_asked:
        eager = eager.model_copy(update={"settled_iou": 0.01})  # its place may be moved
    merged = merge_regions("image", [label], seen, eager)
    assert [edit.what for edit in merged.edits if edit.annotation_id == label.id] == []
    assert next((kept.label, kept.box_xyxy) for kept in merged.labels) == (label.label, label.box_xyxy)


def test_a_name_that_is_written_otherwise_is_not_another_name() -> None:
    label = RegionLabel("r", BOX, "Traffic_Light", 0.9, 0.1, runner_up="traffic light", p_runner_up=0.9)
    assert merge_regions("image", [label], [], RULES.model_copy(update={"drop_below": None})).edits == ()


@pytest.mark.parametrize("found", [replace(SEEN, place_asked=False), replace(SEEN, name_asked=False)])
def test_what_a_student_saw_but_could_not_be_asked_about_is_not_added(found: RegionLabel) -> None:
    assert merge_regions("image", [], [found], RULES).edits == ()
    assert len(merge_regions("image", [], [SEEN], RULES).edits) == 1, "what it was asked about is"


def test_a_place_is_not_moved_to_where_nobody_was_asked() -> None:
    label = RegionLabel("r", BOX, "cat", 0.0, 0.9)
    assert merge_regions("image", [label], [replace(SEEN, p=0.5, place_asked=False)], RULES).edits == ()
    assert merge_regions("image", [label], [replace(SEEN, p=0.5)], RULES).edits != ()


def test_texts_that_were_not_asked_about_neither_go_nor_come() -> None:
    old = TextLabel("t", "brief", "a text of two thousand words", (), 0.0, asked=False)
    new = TextLabel("s", "brief", "a cat", ("cat",), 0.9)
    assert merge_texts("image", [old], [new], ["cat"], RULES).edits == ()
    assert merge_texts("image", [replace(old, asked=True)], [new], ["cat"], RULES).edits != ()
    assert merge_texts("image", [], [replace(new, p=0.0, asked=False)], ["cat"], RULES).edits == ()


def test_gold_does_not_calibrate_what_was_not_asked() -> None:
    """Else the score 0 of names in other scripts, most of them right, would teach that 0 means right."""
    images = [LabelledImage(str(i), str(i), (100, 100), (UNASKED_NAME,), (), "calibrate") for i in range(40)]
    judged = {image.id: Judgement(image.regions, (), (), ()) for image in images}
    gold = {image.id: Gold(Boxes(np.array([BOX]), ["김밥"])) for image in images}
    found = {(c.source, c.family): c.num_examples for c in calibrate(images, judged, gold)}
    assert found["labels", "objects"] == 40
    assert found["labels", "labels"] == 0


def test_it_is_known_from_a_students_output_what_it_was_asked() -> None:
    """Through the tables: a name or text without an answer has no check, and a label that no student saw has none."""
    text = TextLabel("t", "brief", "a cat", (), 0.4)
    asked = RegionLabel("a", FAR, "cat", 0.9, 0.8)
    judgement = Judgement(
        old=(UNASKED_NAME, UNASKED_PLACE, asked),
        seen=(SEEN, replace(SEEN, id="s2", p=0.0, place_asked=False)),
        old_texts=(replace(text, id="long", p=0.0, asked=False), text),
        seen_texts=(replace(text, id="said", p=0.0, asked=False),),
    )
    regions = (UNASKED_NAME, replace(UNASKED_PLACE, id="p"), asked, replace(asked, id="beyond the work set"))
    judgement = replace(judgement, old=regions[:3])
    writer = RowWriter()
    writer.add("image", annotations_of(judgement), Source(annotator="student-1", model="student", revision="1"))
    said = {name: schema.empty_table() for name, schema in ANNOTATION_TABLES.items()} | writer.tables()
    image = LabelledImage("image", "image", (100, 100), regions, judgement.old_texts)
    stored = judgements([image], said, ["cat"])["image"]
    assert [(r.place_asked, r.name_asked) for r in stored.old] == [
        (True, False), (False, True), (True, True), (False, False),
    ]  # fmt: skip
    assert [(r.place_asked, r.name_asked) for r in stored.seen] == [(True, True), (False, True)]
    assert [one.asked for one in (*stored.old_texts, *stored.seen_texts)] == [False, True, False]
    assert stored.not_asked == {"regions": 3, "texts": 1}
