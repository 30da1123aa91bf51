from __future__ import annotations

import pytest

from fld_engine.refinement.gate.metrics_text import character_error_rate, cider, mask_iou


def test_character_error_rate_counts_edits_over_all_texts() -> None:
    """One of four characters wrong, none of six: 1 in 10, not the mean of 1/4 and 0."""
    assert character_error_rate(["ST0P", "EXIT A"], ["STOP", "EXIT A"]) == pytest.approx(0.1)


def test_unread_text_is_all_wrong_and_empty_gold_is_left_out() -> None:
    assert character_error_rate(["", "anything"], ["STOP", ""]) == 1.0
    assert character_error_rate(["anything"], [""]) == 0.0


def test_cider_prefers_the_words_that_tell_images_apart() -> None:
    gold = [["a cat on a red chair"], ["a dog on a red chair"], ["a bus in the rain"]]
    right = cider(["A cat on a red chair.", "a dog on a red chair", "a bus in the rain"], gold)
    swapped = cider(["a dog on a red chair", "a cat on a red chair", "a bus in the rain"], gold)
    assert right[:2].min() > swapped[:2].max()
    assert right[2] == pytest.approx(swapped[2])
    assert right.max() == pytest.approx(10.0)  # CIDEr-D of a text equal to its one reference


def test_cider_of_one_image_or_none_has_no_document_frequencies() -> None:
    assert cider(["a cat"], [["a cat"]]).tolist() == [0.0]
    assert cider([], []).tolist() == []


def test_cider_without_references_is_refused() -> None:
    with pytest.raises(ValueError, match="reference"):
        cider(["a cat"], [[]])


def test_mask_iou() -> None:
    left, right = (0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0), (5.0, 0.0, 15.0, 0.0, 15.0, 10.0, 5.0, 10.0)
    assert mask_iou([left], [right], (20, 20)) == pytest.approx(50 / 150, abs=0.02)
    assert mask_iou([left, right], [left, right], (20, 20)) == 1.0
    assert mask_iou([left], [], (20, 20)) == 0.0
