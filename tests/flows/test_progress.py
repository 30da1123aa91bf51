"""What is said of a run at a moment: shares, rates and time left that hold, in a line, in fields and in bars."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from fld_engine.engine.run.crew import Crew, crew_of
from fld_engine.flows.board import Board, Now
from fld_engine.flows.progress import drawn, ended, fields, progress_bars, told
from fld_engine.schemas.errors import ConfigError


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    """Ten seconds into a stage of two specialists, the first twice as fast; one image came again."""
    board = Board(clock)
    for step in ("first", "second"):
        board(step, 0, 100)
    for _ in range(10):
        clock.now += 1.0
        board("first", 4, 0)
        board("second", 2, 0)
    board("first", -4, 0)
    return board


def test_a_line_says_how_far_how_fast_and_how_long_still(board: Board) -> None:
    now = board.now()
    assert (now.done, now.total, now.percent) == (56, 200, 28.0)
    assert [step.rate for step in now.steps] == pytest.approx([36 / 10, 20 / 10])
    assert now.left_s == pytest.approx(80 / 2), "the slowest step ends the stage"
    assert told(now) == "first 28 %: 56 of 200, 5.6/s, 40 s left (first 36 of 100, second 20 of 100)"


def test_nothing_is_said_of_time_left_where_nobody_knows(clock: Clock) -> None:
    board = Board(clock)
    with board.stage("ingest"):
        board("scan", 0, 0)
        clock.now += 2
        board("scan", 7, 0)
        clock.now += 2
        board("scan", 7, 0)
        now = board.now()
    assert (now.percent, now.total, now.left_s) == (None, 0, None)
    assert told(now) == "ingest: 14 done, 3.5/s"
    assert fields("progress", now)["total"] is None
    assert told(board.now()) == "", "between stages there is nothing to say"


def test_a_rate_is_that_of_the_last_minute(board: Board, clock: Clock) -> None:
    for _ in range(300):
        clock.now += 1
        board("first", 1, 0)
    (first, second) = board.now().steps
    assert first.rate == pytest.approx(1.0, rel=0.05), "it was 3.6 at the beginning"
    assert second.rate == pytest.approx(20 / 310), "nothing came of it for five minutes"


@pytest.mark.parametrize(
    ("elapsed_s", "said"),
    [(0.04, "0.0 s"), (59.0, "59 s"), (60.0, "1 min"), (3725.0, "1 h 2 min"), (90000.0, "1 d 1 h")],
)
def test_durations_are_read_at_a_glance(elapsed_s: float, said: str) -> None:
    assert ended(Now("export", "", elapsed_s, (), Crew())) == f"export ended after {said}"


def test_workers_that_come_up_and_load_are_told_apart() -> None:
    crew = crew_of([(True, "annotator 'slow'"), (True, ""), (False, "its process")])
    now = Now("annotate", "", 1.0, (), crew)
    assert told(now) == "annotate, 3 workers, 1 of them starting, loading annotator 'slow'"
    assert (fields("progress", now)["workers"], fields("progress", now)["workers_starting"]) == (2, 1)


def test_listeners_hear_of_the_end_of_a_stage_with_its_numbers(clock: Clock) -> None:
    heard: list[tuple[str, str]] = []
    board = Board(clock)
    board.listeners.append(lambda event, now: heard.append((event, told(now))))
    with board.stage("filter"):
        board("verdicts", 0, 4)
        board("verdicts", 4, 0)
    with pytest.raises(ValueError, match="broken"), board.stage("export"):
        raise ValueError("broken")
    assert heard == [("began", "filter"), ("ended", "filter 100 %: 4 of 4"), ("began", "export")]


@pytest.mark.parametrize("height", [5, 24])
def test_bars_fit_the_terminal_and_show_what_is_at_work(board: Board, height: int) -> None:
    for number in range(30):
        board(f"done-{number}", 0, 1)
        board(f"done-{number}", 1, 0)
    shown = io.StringIO()
    Console(file=shown, width=120, height=height).print(drawn(board.now(), height))
    lines = shown.getvalue().splitlines()
    assert len(lines) < height
    assert "first" in shown.getvalue()


@pytest.mark.parametrize("given", ["soon", "-1", "0", "nan", "1e400"])
def test_a_pace_that_is_none_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("FLD_LOG_EVERY_S", given)
    with pytest.raises(ConfigError, match="FLD_LOG_EVERY_S"), progress_bars():
        pass
