"""When a run stops because a specialist fails, and when it must not."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import binom

from fld_engine.engine.plan.tasks import Span
from fld_engine.engine.run.failures import CONFIDENCE, FIRST_IMAGES, FailureWatch, share_is_above
from fld_engine.engine.run.messages import Progress
from fld_engine.schemas.errors import RunnerError


def told(finished: int, failed: int) -> Progress:
    what = tuple(f"image-{i}: ValueError: bad" for i in range(failed))
    return Progress(span=Span(step="detector", start=0, stop=1), finished=finished, failed=what, worked=not failed)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.2, 0.5])
@pytest.mark.parametrize("num", [20, 100, 5000])
def test_the_test_is_the_exact_binomial_one(share: float, num: int) -> None:
    """Against scipy's: the fewest failures that stop are the fewest that chance alone brings in 1 % of runs."""
    fewest = next(k for k in range(num + 2) if k > share * num and binom.sf(k - 1, num, share) <= 1 - CONFIDENCE)
    assert share_is_above(share, fewest, num)
    assert not share_is_above(share, fewest - 1, num)


def test_bounds_of_the_share() -> None:
    assert share_is_above(0.0, 1, 1000)
    assert not share_is_above(0.0, 0, 1000)
    assert not share_is_above(1.0, 1000, 1000)


def test_a_specialist_that_fails_on_its_first_images_stops_the_run_with_three_reasons() -> None:
    """Whatever share may fail: an export without that family would be made of nothing."""
    watch = FailureWatch(1.0)
    watch.note(told(FIRST_IMAGES - 1, FIRST_IMAGES - 1), Counter())
    with pytest.raises(RunnerError, match=rf"annotator 'detector' failed on all of its first {FIRST_IMAGES} ") as stop:
        watch.note(told(1, 1), Counter())
    assert "image-0: ValueError: bad; image-1: ValueError: bad; image-2: ValueError: bad." in str(stop.value)
    assert "fld replay" in str(stop.value)


def test_one_image_that_works_is_enough_to_go_on_where_all_may_fail() -> None:
    watch = FailureWatch(1.0)
    watch.note(told(1, 0), Counter())
    watch.note(told(100, 100), Counter())
    assert watch.hopeless() == ()
    with pytest.raises(RunnerError, match="all of its first 101 images"):
        FailureWatch(1.0).note(told(101, 101), Counter())


def test_a_share_above_the_limit_stops_the_run() -> None:
    watch = FailureWatch(0.01)
    watch.note(told(180, 0), Counter())
    watch.note(told(5, 5), Counter())  # 5 of 185: about 4 % of runs with a share of 1 % have as many
    with pytest.raises(
        RunnerError, match=r"failed on 7 of 200 images, which is more than limits.max_failed_share 0.01"
    ):
        watch.note(told(15, 2), Counter())


def test_a_few_failures_among_the_first_do_not_stop_it() -> None:
    """Two of three says nothing yet."""
    watch = FailureWatch(0.01)
    watch.note(told(FIRST_IMAGES - 1, 10), Counter())
    with pytest.raises(RunnerError, match=f"failed on 10 of {FIRST_IMAGES} images"):
        watch.note(told(1, 0), Counter())  # one more that is done, and they say enough


def test_an_attempt_that_came_to_nothing_is_not_counted_twice() -> None:
    watch = FailureWatch(1.0)
    for _ in range(5):
        attempt: Counter[tuple[str, str]] = Counter()
        watch.note(told(10, 10), attempt)
        watch.forget(attempt)
    watch.note(told(FIRST_IMAGES - 1, FIRST_IMAGES - 1), Counter())
    with pytest.raises(RunnerError, match=f"all of its first {FIRST_IMAGES} images"):
        watch.note(told(1, 1), Counter())


def test_a_device_that_fails_on_everything_stops_the_run() -> None:
    """Each of its images costs a process: with many done before, the share would tell too late."""
    watch = FailureWatch(0.01)
    watch.note(told(100_000, 0), Counter())
    for number in range(1, FIRST_IMAGES):
        watch.guilty("detector")
        assert watch.hopeless() == (("detector",) if number >= 3 else ())
    with pytest.raises(RunnerError, match="in a row, each in a process of its own"):
        watch.guilty("detector")


def test_an_image_that_is_done_in_between_says_that_it_works() -> None:
    watch = FailureWatch(1.0)
    for _ in range(30):
        watch.guilty("detector")
        watch.guilty("detector")
        watch.note(told(1, 0), Counter())
    assert watch.hopeless() == ()
