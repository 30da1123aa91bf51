from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fld_engine.refinement.merge.calibration import Calibration, Calibrations, fit


def test_overconfident_source_is_brought_down_to_how_often_it_is_right() -> None:
    """A model that says 0.9 and is right half the time must weigh as one half in a merge."""
    scores = [0.9] * 200 + [0.2] * 200
    correct = [True, False] * 100 + [False] * 180 + [True] * 20
    curve = fit("model", "objects", scores, correct)
    assert curve.state == "calibrated"
    assert curve.apply([0.9, 0.2]) == pytest.approx([0.5, 0.1], abs=0.01)
    assert curve.apply([0.55])[0] == pytest.approx(0.3, abs=0.01)  # half way between the two


def test_scores_beyond_those_seen_keep_the_nearest_probability() -> None:
    curve = fit("model", "objects", [0.3, 0.6] * 50, [False, True] * 50)
    low, high = curve.apply([0.0, 1.0])
    assert (low, high) == tuple(curve.apply([0.3, 0.6]))


def test_steps_of_single_examples_are_not_certain() -> None:
    """30 different scores, all right above 0.5: one example each cannot prove that the next one is right too."""
    scores = np.linspace(0.01, 0.99, 30)
    curve = fit("model", "objects", scores, scores > 0.5)
    assert 0 < curve.apply([0.0])[0] < 0.1
    assert 0.9 < curve.apply([1.0])[0] < 1


@given(
    arrays(np.float64, 40, elements=st.floats(0, 1)),
    arrays(np.bool_, 40),
    st.randoms(use_true_random=False),
)
def test_curve_rises_and_forgets_the_order(scores: np.ndarray, correct: np.ndarray, random: object) -> None:
    curve = fit("model", "labels", scores, correct)
    grid = curve.apply(np.linspace(0, 1, 50))
    assert np.all(np.diff(grid) >= 0)
    assert np.all((grid >= 0) & (grid <= 1))
    order = list(range(40))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert fit("model", "labels", scores[order], correct[order]) == curve


def test_too_little_gold_is_stated_and_changes_no_score() -> None:
    curve = fit("model", "labels", [0.4, 0.7], [True, True])
    assert (curve.state, curve.num_examples) == ("uncalibrated", 2)
    assert curve.apply([0.4, 1.7, -3.0]).tolist() == [0.4, 1.0, 0.0]


def test_no_gold_at_all() -> None:
    assert fit("model", "labels", [], []).state == "uncalibrated"


def test_unknown_source_is_uncalibrated() -> None:
    known = Calibrations([fit("a", "labels", [0.5] * 40, [True] * 40)])
    assert known.of("a", "labels").state == "calibrated"
    assert known.of("stranger", "objects").state == "uncalibrated"


def test_curve_survives_its_file() -> None:
    curve = fit("model", "objects", [0.1, 0.9] * 30, [False, True] * 30)
    assert Calibration.model_validate_json(curve.model_dump_json()) == curve
