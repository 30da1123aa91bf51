from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fld_engine.engine.plan.protocols import Filter
from fld_engine.filters.checks import PhraseCheck, RegionCheck
from tests.tables import rows

JUDGES = [
    pytest.param(RegionCheck(), "holds", "label_refuted", id="regions"),
    pytest.param(PhraseCheck(), "complete", "incomplete", id="phrases"),
]


def tables(judge: Filter, subjects: list[dict[str, Any]], *checks: tuple[str, str, float]) -> dict[str, pa.Table]:
    """Subjects s0, s1, … of a judge and checks as subject, question, score."""
    asked = ({"subject_id": subject, "question": question, "score": score} for subject, question, score in checks)
    numbered = ({"id": f"s{i}", **subject} for i, subject in enumerate(subjects))
    return {judge.target: rows(judge.target, *numbered), "checks": rows("checks", *asked)}


@pytest.mark.parametrize(("judge", "question", "reason"), JUDGES)
def test_what_a_second_look_refutes_is_dropped(judge: Filter, question: str, reason: str) -> None:
    given = tables(judge, [{}, {}, {}], ("s2", question, 0.9), ("s0", question, 0.5), ("s1", question, 0.4999))
    verdicts = judge.decide(given)
    assert verdicts.keep.tolist() == [True, False, True]  # the bound itself is enough
    assert verdicts.value.tolist() == [0.5, 0.4999, 0.9]
    assert verdicts.reason == reason


@pytest.mark.parametrize(("judge", "question", "reason"), JUDGES)
def test_any_of_several_verifiers_can_refute(judge: Filter, question: str, reason: str) -> None:
    verdicts = judge.decide(tables(judge, [{}], ("s0", question, 0.9), ("s0", question, 0.1), ("s0", question, 0.8)))
    assert (verdicts.keep.tolist(), verdicts.value.tolist()) == ([False], [0.1])


@pytest.mark.parametrize(("judge", "question", "reason"), JUDGES)
def test_what_nobody_checked_passes(judge: Filter, question: str, reason: str) -> None:
    """Work sets are bounded: most rows have no check, and none may go for that."""
    other = "complete" if question == "holds" else "holds"
    given = tables(
        judge, [{}, {}, {"annotator": "human"}], ("s1", other, 0.0), ("s2", question, 0.0), ("s9", question, 0.0)
    )
    verdicts = judge.decide(given)
    assert verdicts.keep.tolist() == [True, True, True]  # asked something else, a person's, and of another table
    assert np.isnan(verdicts.value).all()


@pytest.mark.parametrize(("judge", "question", "reason"), JUDGES)
def test_nothing_to_judge_is_no_problem(judge: Filter, question: str, reason: str) -> None:
    assert isinstance(judge, Filter)
    verdicts = judge.decide(tables(judge, []))
    assert (verdicts.keep.shape, verdicts.keep.dtype, verdicts.value.dtype) == ((0,), bool, float)


@pytest.mark.parametrize("kind", [RegionCheck, PhraseCheck])
def test_the_bound_can_be_moved(kind: type[RegionCheck | PhraseCheck]) -> None:
    judge = kind(kind.Params(min_score=0.8))
    question = "holds" if judge.target == "regions" else "complete"
    assert judge.decide(tables(judge, [{}], ("s0", question, 0.79))).keep.tolist() == [False]
