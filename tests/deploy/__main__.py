"""Run every test marked `deploy`, and say by name what passed, failed, and was skipped for which reason.

`python -m tests.deploy [PYTEST OPTIONS]`; exit code 1 where a test failed or none was found.
"""

from __future__ import annotations

import sys
from collections import defaultdict

import pytest


class Verdict:
    """A pytest plug-in that keeps what became of every test."""

    def __init__(self) -> None:
        self.outcomes: dict[str, str] = {}
        self.reasons: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        worst = self.outcomes.get(report.nodeid, "passed")
        if report.outcome != "passed" or report.when == "setup":
            self.outcomes[report.nodeid] = worst if report.outcome == "passed" else report.outcome
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.outcomes[report.nodeid] = "failed"
        elif report.skipped and isinstance(report.longrepr, tuple):
            self.outcomes[report.nodeid] = "skipped"
            self.reasons[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ")

    def lines(self) -> list[str]:
        """The verdict: a line of numbers, then one for each test that did not pass."""
        by_outcome: defaultdict[str, list[str]] = defaultdict(list)
        for test, outcome in self.outcomes.items():
            by_outcome[outcome].append(test)
        counts = ", ".join(f"{len(by_outcome[outcome])} {outcome}" for outcome in ("passed", "failed", "skipped"))
        failed = [f"failed   {test}" for test in by_outcome["failed"]]
        skipped = [f"skipped  {test}: {self.reasons.get(test, 'no reason given')}" for test in by_outcome["skipped"]]
        return [f"test-deploy: {counts}", *failed, *skipped]


def main(options: list[str]) -> int:
    verdict = Verdict()
    code = pytest.main(["-m", "deploy", "-q", *options], plugins=[verdict])
    print("\n".join(verdict.lines()))
    return 0 if code == pytest.ExitCode.OK else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
