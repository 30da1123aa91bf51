"""What tests of known faults share, and the verdict on them that ends a run.

A test here states what is right, and is expected to fail: the engine does not do it yet. A fault that is mended makes
its test pass, which `strict` reports as an error until the mark is taken off; then the test moves to its module's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.installed import install_annotators

FOLDER = "tests/known_faults/"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, Mapping[str, str]], None]:
    """Puts a module with annotators where an installed package would be, for this process and the workers it starts.

    Takes the module's name, its code, and entry point -> class.
    """

    def written(module: str, code: str, annotators: Mapping[str, str]) -> None:
        install_annotators(tmp_path, monkeypatch, module, code, annotators)

    return written


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many faults stand as they are stated; the tests beside them say what must not be lost in mending."""
    counts = {
        outcome: sum(report.nodeid.startswith(FOLDER) for report in terminalreporter.getreports(outcome))
        for outcome in ("xfailed", "failed", "passed")
    }
    mended = sum(
        report.nodeid.startswith(FOLDER) and "XPASS" in str(report.longrepr)
        for report in terminalreporter.getreports("failed")
    )
    if any(counts.values()):
        terminalreporter.write_line(
            f"known faults: {counts['xfailed']} stand as stated, {mended} mended (take their marks off), "
            f"{counts['failed'] - mended} fail otherwise, {counts['passed']} tests beside them pass"
        )
