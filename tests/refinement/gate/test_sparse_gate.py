"""What gold must say of a specialist's texts before they stand, and what is said where there is none."""

from __future__ import annotations

import pytest

from fld_engine.refinement.gate.gate import GateRules
from fld_engine.refinement.gate.sparse_gate import SparseGate, TextComparison, judge_written

THINGS = ("dog", "cat", "boat", "tree", "lamp", "horse", "bridge", "apple", "clock", "train", "cup", "kite")
RULES = GateRules(min_images=10)


def truth(thing: str) -> str:
    return f"a large {thing} stands in the middle of a wide green field under a grey sky"


def judge(compared: list[TextComparison]) -> SparseGate:
    return judge_written("detailed", compared, RULES, seed=1)


def test_texts_of_their_images_are_better_than_both_that_must_be_beaten() -> None:
    gate = judge([TextComparison((truth(t),), truth(t).replace("grey sky", "sky"), brief=f"a {t}") for t in THINGS])
    assert gate.accepted
    assert gate.decision.after > gate.decision.before == max(gate.brief, gate.another) > 0, "the harder one decides"
    assert gate.small_set is None


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(lambda i: truth("dog"), id="one text for all images"),
        pytest.param(lambda i: truth(THINGS[i - 1]), id="texts of other images"),
        pytest.param(lambda i: f"a {THINGS[i]}", id="the brief text again"),
    ],
)
def test_texts_that_say_nothing_of_the_image_or_nothing_more_are_refused(written: object) -> None:
    assert callable(written)
    gate = judge([TextComparison((truth(t),), written(i), brief=f"a {t}") for i, t in enumerate(THINGS)])
    assert gate.measured
    assert not gate.accepted


@pytest.mark.parametrize(
    ("num_images", "why"),
    [(0, "nothing to judge texts by"), (1, "1 gold images are too few"), (9, "9 gold images are too few")],
)
def test_too_little_gold_admits_and_says_so(num_images: int, why: str) -> None:
    gate = judge([TextComparison((truth(t),), "nothing of the sort") for t in THINGS[:num_images]])
    assert gate.accepted
    assert not gate.measured
    assert why in gate.decision.why


def test_the_small_set_is_measured_on_the_images_that_it_has() -> None:
    compared = [
        TextComparison((truth(t),), truth(t), small=f"a {t} in a wide green field" if i < 4 else "")
        for i, t in enumerate(THINGS)
    ]
    small = judge(compared).small_set
    assert small is not None
    assert small.num_images == 4
    assert 0 < small.before < small.after


def test_the_text_of_a_near_twin_is_not_that_of_another_image() -> None:
    """Pairs of copies: its text fits its neighbour, too, and is not to be beaten for that."""
    compared = [TextComparison((truth(t),), truth(t), brief=f"a {t}", twin_group=t) for t in THINGS for _ in range(2)]
    gate = judge(compared)
    assert gate.accepted
    assert gate.another < gate.decision.after
