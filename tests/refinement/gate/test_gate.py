from __future__ import annotations

import numpy as np
import pytest

from fld_engine.refinement.gate.gate import GateRules, decide_gate, f1_measure, mean_measure
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
