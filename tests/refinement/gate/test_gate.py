from __future__ import annotations

import numpy as np
import pytest

from fld_engine.refinement.gate.gate import GateRules, decide_gate, f1_measure, gain_of, mean_measure
from fld_engine.refinement.gate.metrics_boxes import Counts

GOOD, BAD = Counts(matched=3, predicted=4, gold=4), Counts(matched=1, predicted=4, gold=4)
RULES = GateRules(num_resamples=300)


def decide(before: list[Counts], after: list[Counts], seed: int = 0):  # type: ignore[no-untyped-def]
    return decide_gate("regions", "f1@0.5", f1_measure(before, after), len(before), RULES, seed=seed)


def test_clear_gain_is_accepted() -> None:
    decision = decide([BAD] * 40, [GOOD] * 40)
    assert decision.accepted
    assert (decision.before, decision.after) == (0.25, 0.75)
    assert decision.gain_low == decision.gain_high == 0.5  # the same gain on every image, whatever is drawn


def test_harm_is_refused() -> None:
    assert decide([GOOD] * 40, [BAD] * 40).state == "not_better"


def test_unchanged_labels_are_not_better() -> None:
    """Else the loop would never stop."""
    decision = decide([GOOD, BAD] * 20, [GOOD, BAD] * 20)
    assert (decision.state, decision.gain_low, decision.gain_high) == ("not_better", 0.0, 0.0)


def test_gain_on_one_image_of_many_is_chance() -> None:
    """A bootstrap sample misses any one image with probability 0.36: the lower bound must be 0."""
    before = [GOOD] * 40
    assert decide(before, [*before[:-1], Counts(matched=4, predicted=4, gold=4)]).state == "not_better"


def test_mixed_gain_depends_on_how_many_images_agree() -> None:
    rng = np.random.default_rng(0)
    noisy = [GOOD if up else BAD for up in rng.random(60) < 0.5]
    assert not decide(noisy, [noisy[i] for i in rng.permutation(60)]).accepted
    assert decide(noisy, [GOOD] * 60).accepted


def test_gold_of_three_images_cannot_tell() -> None:
    decision = decide([BAD] * 3, [GOOD] * 3)
    assert (decision.state, decision.accepted) == ("cannot_tell", False)
    assert "at least 10" in decision.why


def test_same_seed_same_bounds() -> None:
    before, after = [GOOD, BAD] * 10, [GOOD] * 20
    assert decide(before, after, seed=4) == decide(before, after, seed=4)


def test_mean_measure() -> None:
    decision = decide_gate("texts", "cider", mean_measure(np.full(12, 1.0), np.full(12, 1.5)), 12, RULES, seed=0)
    assert decision.accepted
    assert decision.after - decision.before == pytest.approx(0.5)


def test_near_twins_do_not_add_to_confidence() -> None:
    """Twenty copies of one image say what one image says: too little."""
    before, after = [BAD] * 20, [GOOD] * 20
    measure = f1_measure(before, after)
    copies = decide_gate("regions", "f1@0.5", measure, 20, RULES, seed=0, twin_groups=["one"] * 20)
    assert copies.state == "cannot_tell"
    assert "20 gold images of 1 groups of near-twins are too few" in copies.why


def test_a_gain_on_one_group_of_many_is_chance() -> None:
    """Eleven images got better, all of them copies of one, and of ten others none: another sample of photographs would
    have had none of them with probability 0.36. Resampled by image, the gain was certain."""
    groups = ["one"] * 11 + [f"other {i}" for i in range(10)]
    measure = f1_measure([BAD] * 21, [GOOD] * 11 + [BAD] * 10)
    assert decide_gate("regions", "f1@0.5", measure, 21, RULES, seed=0).accepted
    assert decide_gate("regions", "f1@0.5", measure, 21, RULES, seed=0, twin_groups=groups).state == "not_better"


def test_a_loss_on_copies_alone_holds_nothing_back() -> None:
    loss = gain_of(
        "mask_iou", mean_measure(np.full(12, 0.9), np.full(12, 0.1)), 12, RULES, seed=0, twin_groups=["one"] * 12
    )
    assert loss.high < 0
    measure = f1_measure([BAD] * 12, [GOOD] * 12)
    assert decide_gate("regions", "f1@0.5", measure, 12, RULES, seed=0, guardrails=[loss]).accepted


def test_images_that_are_like_no_other_are_drawn_as_ever() -> None:
    """Decisions of old roots stand."""
    before, after = [GOOD, BAD] * 10, [GOOD] * 20
    measure, own = f1_measure(before, after), [str(i) for i in range(20)]
    given = decide_gate("regions", "f1@0.5", measure, 20, RULES, seed=4, twin_groups=own)
    assert given == decide_gate("regions", "f1@0.5", measure, 20, RULES, seed=4)
