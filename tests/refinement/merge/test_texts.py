from __future__ import annotations

from dataclasses import replace

import pytest

from fld_engine.refinement.labels.image import TextLabel
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.refinement.merge.texts import consistency, fit_of, merge_texts

RULES = MergeRules()
REGIONS = ["cat", "red chair"]
RIGHT = TextLabel("new", "brief", "a cat on a red chair", ("cat", "chair"), p=0.8)
WRONG = TextLabel("old", "brief", "a dog on a red chair", ("dog", "chair"), p=0.6)


@pytest.mark.parametrize(
    ("named", "regions", "expected"),
    [
        (("cat", "chair"), REGIONS, 1.0),
        (("Cat",), REGIONS, 2 / 3),  # one of two regions, nothing invented
        (("dog", "chair"), REGIONS, 0.5),
        (("cat", "cat"), ["cat"], 2 / 3),  # there is only one cat
        ((), [], 1.0),
        ((), REGIONS, 0.0),
    ],
)
def test_consistency(named: tuple[str, ...], regions: list[str], expected: float) -> None:
    assert consistency(named, regions) == pytest.approx(expected)


def test_similarity_counts_only_where_it_was_measured() -> None:
    assert fit_of(RIGHT, REGIONS) == pytest.approx(0.9)
    assert fit_of(replace(RIGHT, similarity=0.2), REGIONS) == pytest.approx((0.8 + 1.0 + 0.6) / 3)


def test_wrong_word_is_rewritten() -> None:
    merged = merge_texts("image", [WRONG], [RIGHT], REGIONS, RULES)
    (edit,) = merged.edits
    assert (edit.what, edit.old["text"], edit.new["text"]) == ("rewritten", WRONG.text, RIGHT.text)
    assert merged.labels == (replace(RIGHT, id="old"),)


def test_text_that_fits_little_worse_stays() -> None:
    assert merge_texts("image", [replace(WRONG, p=0.75)], [RIGHT], REGIONS, RULES).edits == ()


def test_person_s_text_stays_word_for_word() -> None:
    mine = replace(WRONG, protected=True)
    merged = merge_texts("image", [mine], [RIGHT], REGIONS, RULES)
    assert (merged.labels, merged.edits) == ((mine,), ())


def test_no_better_text_is_no_reason_to_rewrite() -> None:
    other = replace(RIGHT, text="there is a cat on a red chair")
    assert merge_texts("image", [RIGHT], [replace(other, id="x")], REGIONS, RULES).edits == ()


def test_missing_granularity_is_added_and_others_are_left_alone() -> None:
    detailed = replace(RIGHT, granularity="detailed")
    merged = merge_texts("image", [RIGHT], [detailed], REGIONS, RULES)
    assert [edit.what for edit in merged.edits] == ["added"]
    assert [text.granularity for text in merged.labels] == ["brief", "detailed"]


def test_worst_of_several_texts_gives_way() -> None:
    merged = merge_texts("image", [replace(RIGHT, id="a", text="cat, chair"), WRONG], [RIGHT], REGIONS, RULES)
    assert [(text.id, text.text) for text in merged.labels] == [("a", "cat, chair"), ("old", RIGHT.text)]
