"""When so many images fail that a run should not go on to its end."""

from __future__ import annotations

import math
from collections import Counter, defaultdict

from fld_engine.engine.run.messages import Progress
from fld_engine.schemas.errors import RunnerError

FIRST_IMAGES = 20
"""Images that are looked at before anything is said of a step; a step that fails on all of them does not work."""
CONFIDENCE = 0.99
HOPELESS = 3
"""Images that failed on their own in fresh processes, one after another with none done, after which failures in a row
say nothing of a process any more (ours)."""

Counted = Counter[tuple[str, str]]
"""(step, `done` or `failed`) → images."""


class FailureWatch:
    """Counts what steps get done and what they fail on, over all tasks of a run.

    Images whose bytes cannot be decoded are no fault of a step, and are not counted.
    """

    def __init__(self, max_failed_share: float) -> None:
        self._max_failed_share = max_failed_share
        self._counted: Counted = Counter()
        self._first: defaultdict[str, dict[str, None]] = defaultdict(dict)
        self._hopeless: Counter[str] = Counter()

    def note(self, progress: Progress, attempt: Counted) -> None:
        """Count a report of an attempt. Raises `RunnerError` where a step fails on too much."""
        step, failed = progress.span.step, len(progress.failed)
        for counted in (self._counted, attempt):
            counted[step, "failed"] += failed
            counted[step, "done"] += progress.finished - failed
        if progress.worked:
            self._hopeless[step] = 0
        first = self._first[step]
        for what in progress.failed:
            if len(first) < 3:
                first[what] = None
        self._check(step)

    def forget(self, attempt: Counted) -> None:
        """An attempt came to nothing: its images will be counted anew."""
        self._counted.subtract(attempt)
        attempt.clear()

    def guilty(self, step: str) -> None:
        """An image failed on its own in a fresh process. Raises `RunnerError` where no image was done for too long."""
        self._hopeless[step] += 1
        if self._hopeless[step] >= FIRST_IMAGES:
            self._stop(step, f"failed on {self._hopeless[step]} images in a row, each in a process of its own")

    def hopeless(self) -> tuple[str, ...]:
        """Steps that have failed on every image for a while, in fresh processes too."""
        return tuple(sorted(step for step, num in self._hopeless.items() if num >= HOPELESS))

    def _check(self, step: str) -> None:
        done, failed = self._counted[step, "done"], self._counted[step, "failed"]
        num = done + failed
        if not failed or num < FIRST_IMAGES:
            return
        if not done:
            self._stop(step, f"failed on all of its first {num} images")
        if share_is_above(self._max_failed_share, failed, num):
            self._stop(
                step,
                f"failed on {failed} of {num} images, which is more than limits.max_failed_share "
                f"{self._max_failed_share:g} allows ({CONFIDENCE:.0%} sure)",
            )

    def _stop(self, step: str, what: str) -> None:
        reasons = "; ".join(self._first[step]) or "see the log"
        raise RunnerError(
            f"annotator {step!r} {what}; the run is stopped, for an export would go without what it writes. "
            f"The first: {reasons}. Mend what they name and run again: what is recorded stays, and `fld replay` tries "
            f"recorded failures once more. Or leave {step!r} out of the config, or raise limits.max_failed_share"
        )


def share_is_above(share: float, failed: int, num: int) -> bool:
    """Whether more than `share` of all images fail, with a confidence of 99 %, where `failed` of `num` did.

    The one-sided exact binomial test: as many failures or more would come by chance in at most 1 % of runs if the share
    were `share`; the same as a lower bound of Clopper and Pearson (Biometrika 26, 1934) above `share`.
    """
    if failed <= share * num or share >= 1:
        return False
    if share <= 0:
        return True
    log_p, log_q = math.log(share), math.log1p(-share)
    choose = math.lgamma(num + 1) - math.lgamma(failed + 1) - math.lgamma(num - failed + 1)
    term = math.exp(choose + failed * log_p + (num - failed) * log_q)
    tail = term
    for k in range(failed, num):  # falls quickly, for `failed` lies above the mean
        term *= (num - k) / (k + 1) * share / (1 - share)
        tail += term
        if term < tail * 1e-12:
            break
    return tail <= 1 - CONFIDENCE
