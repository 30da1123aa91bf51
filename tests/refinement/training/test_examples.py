from __future__ import annotations

from fld_engine.refinement.training.examples import TrainingImage, corpus
from fld_engine.schemas.sample import TargetEntry


def test_corpus_holds_words_and_no_tokens() -> None:
    said = "cat<loc_1><loc_2><loc_3><loc_4>dog<loc_1><loc_2><loc_3><loc_4>"
    target = TargetEntry(task="<OD>", prompt="<OD>", target=said, annotation_ids=())
    assert corpus([TrainingImage("a", 1, (target,))]) == ["cat", "dog"]
