"""What a driver makes of signals; that they come in a real terminal is in `tests/flows/test_interrupt.py`."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from fld_engine.engine.run.interrupt import Interrupts, interruptible, interrupts
from fld_engine.schemas.errors import Interrupted


def refuse(error: Interrupted) -> None:
    raise AssertionError("that was the first signal")


def stopped_by(work: Callable[[], None]) -> Interrupted:
    with pytest.raises(Interrupted) as stopped:
        work()
    return stopped.value


def test_a_signal_waits_for_the_end_of_what_must_not_be_torn() -> None:
    """Also where one such part stands in another: a record would be written by half."""
    heard, done = Interrupts(refuse), []

    def work() -> None:
        with heard.held():
            with heard.held():
                heard.hear(signal.SIGINT, None)
                done.append("inner")
            done.append("outer")

    assert stopped_by(work).exit_code == 130
    assert done == ["inner", "outer"]


def test_what_a_signal_raised_is_not_raised_again_while_the_driver_clears_away() -> None:
    """Else the lease would stay, for what gives it back would be left in the middle."""
    heard, done = Interrupts(refuse), []

    def work() -> None:
        try:
            heard.hear(signal.SIGTERM, None)
        finally:
            with heard.held():
                done.append("lease")
            done.append("server")

    assert stopped_by(work).exit_code == 143
    assert done == ["lease", "server"]


def test_the_line_names_the_innermost_work_and_its_share() -> None:
    heard = Interrupts(refuse)

    def work() -> None:
        with heard.at("in report"), heard.at("in coverage"):
            heard.begin(18)
            heard.advance(11)
            heard.hear(signal.SIGINT, None)

    assert str(stopped_by(work)) == "interrupted in coverage at 61 %; the same command goes on"


def test_work_that_is_over_is_not_named() -> None:
    """Nor counted beyond its end where a task was done twice."""
    heard = Interrupts(refuse)
    with heard.at("in ingest"):
        with heard.at("in scan"):
            heard.begin(2)
            heard.advance(3)
            assert heard.error().where == "in scan at 100 %"
        assert heard.error().where == "in ingest"
    assert str(Interrupted(signal.SIGINT, heard.error().where)) == "interrupted; the same command goes on"


def test_the_second_signal_is_for_another() -> None:
    told: list[Interrupted] = []
    heard = Interrupts(told.append)

    def work() -> None:
        with heard.held():
            heard.hear(signal.SIGINT, None)
            heard.hear(signal.SIGTERM, None)

    stopped_by(work)
    assert [error.exit_code for error in told] == [130], "the exit status is that of the first"


@pytest.mark.parametrize("foreign", [RuntimeError("the cluster is gone"), SystemExit(15), KeyboardInterrupt()])
def test_whatever_a_library_makes_of_a_signal_becomes_the_same_error(foreign: BaseException) -> None:
    def work() -> None:
        with interruptible(refuse) as heard, heard.at("in annotate"):
            stopped_by(lambda: heard.hear(signal.SIGINT, None))
            raise foreign

    assert stopped_by(work).where == "in annotate"


def test_where_nobody_listens_there_is_no_signal() -> None:
    """As in the thread of a program that uses the engine."""
    with interrupts().at("in annotate"), interrupts().held():
        interrupts().check()
