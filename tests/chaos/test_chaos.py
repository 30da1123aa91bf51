"""A few cases of the chaos table, for every run of the tests; `make chaos` plays hundreds.

What fails here loses work or bytes of somebody whose machine dies, whose worker is killed, or whose disk fills up.
Drivers that die in the other stages are in `tests/engine/run/test_resume.py`, and beside removal and refinement.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.chaos.cases import PLAYED, Case, draw
from tests.chaos.ground import DISK, STAGES, Ground, lay
from tests.chaos.play import differences, play, why_no_disk

pytestmark = pytest.mark.long(minutes=2)

SEED = 15


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return lay(tmp_path_factory.mktemp("chaos") / "ground", {"report"})


@pytest.mark.parametrize(
    ("stage", "runner", "victim"),
    [
        ("coverage", "local", "driver"),
        ("report", "local", "driver"),
        ("export", "local", "worker"),
        ("annotate", "ray", "worker"),
        ("annotate", "local", DISK),
        ("export", "local", DISK),
    ],
)
def test_a_run_that_was_disturbed_ends_with_the_same_bytes(
    ground: Ground, tmp_path: Path, stage: str, runner: str, victim: str
) -> None:
    if victim == DISK and (refused := why_no_disk(tmp_path)):
        pytest.skip(refused)
    moment = random.Random(f"{SEED} {stage} {victim}").randint(1, ground.most(stage, victim))
    case = Case(stage, runner, victim, (moment,))
    verdict = play(case, ground, tmp_path / "case")
    assert not verdict.wrong, f"{case}: {verdict.wrong}"
    assert verdict.kills == 1, f"{case}: it was over before"


def test_cases_are_drawn_for_every_row_and_can_be_played_again(tmp_path: Path) -> None:
    """By their text alone: whoever reads a failed case in the table needs neither its seed nor its number."""
    counts = {(stage, role): 9 for stage in STAGES for role in ("driver", "worker")}
    ground = Ground(tmp_path, "", counts, dict.fromkeys(STAGES, 9), {}, "s3://bucket", counts)
    victims = {victim for _, victim in PLAYED}
    drawn = [*draw(ground, 200, 1, victims)]
    assert sum(len(case.moments) for case in drawn) == 200
    assert {case.row for case in drawn} == {(stage, *played) for stage in STAGES for played in PLAYED}
    assert [Case.read(str(case)) for case in drawn] == drawn == [*draw(ground, 200, 1, victims)]
    with pytest.raises(ValueError, match="is no case"):
        Case.read("annotate/local/raylet@3")


def test_what_differs_is_named() -> None:
    assert differences({"a": "1", "b": "1", "c": "1"}, {"b": "1", "c": "2", "d": "1"}) == (
        "missing: a\ntoo much: d\nother bytes: c"
    )
    assert not differences({"a": "1"}, {"a": "1"})
