"""A run as its operator sees it: something at once on a terminal, a line now and then elsewhere, JSON for programs."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.plan.config import dump_config
from fld_engine.flows.loading import LINE
from tests.commands import FLD
from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long


@pytest.fixture
def run(tmp_path: Path) -> list[str]:
    """A run of two specialists over six photographs, one of which the first fails on."""
    bad = write_photographs(tmp_path / "photos", 6)[1]
    first = {"use": "fake", "params": {"regions": 3, "seconds": 0.3, "raise_on": [bad]}, "batch_size": 1}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_config(fake_config(tmp_path / "photos", annotators={"first": first})))
    (tmp_path / "bad").write_text(bad)
    return [*FLD, "run", str(recipe), "--root", str(tmp_path / "root")]


def test_off_a_terminal_every_line_of_json_says_what_the_run_does(run: list[str], tmp_path: Path) -> None:
    command = [*run, "--log-format", "json"]
    environment = {**os.environ, "FLD_LOG_EVERY_S": "0.4"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, env=environment, check=False)
    assert done.returncode == 3, "one image failed"
    told: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
    events = [line["event"] for line in told if "event" in line]
    assert events[0] == "waits", "Prefect's server takes a while"
    began = [line["stage"] for line in told if line.get("event") == "stage_began"]
    ended = [line["stage"] for line in told if line.get("event") == "stage_ended"]
    assert began == ended
    assert {"ingest", "annotate", "export", "report"} <= set(ended)
    (last,) = (line for line in told if line.get("event") == "stage_ended" and line["stage"] == "annotate")
    assert (last["done"], last["total"], last["failed"], last["workers"]) == (12, 12, 1, 1)
    shares = [line["done"] for line in told if line.get("event") == "progress" and line["stage"] == "annotate"]
    assert any(0 < done < 12 for done in shares), shares
    bad = (tmp_path / "bad").read_text()
    (warning,) = (line for line in told if line["level"] == "WARNING" and bad in line["message"])
    assert (warning["stage"], warning["specialist"], warning["images"]) == ("annotate", "first", [bad])
    assert warning["partition"]
    assert warning["pid"] != last["pid"], "a worker said it"


def read_until(screen: int, wanted: bytes, seen: bytes) -> bytes:
    """What a terminal shows, until that is there."""
    deadline = time.monotonic() + PATIENCE_S
    while wanted not in seen:
        assert time.monotonic() < deadline, seen[-2000:]
        if select.select([screen], [], [], 1.0)[0]:
            seen += os.read(screen, 1 << 16)
    return seen


def test_a_terminal_shows_what_is_waited_for_and_then_bars(run: list[str]) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
    driver = subprocess.Popen(run, stdout=theirs, stderr=theirs, env=environment, start_new_session=True)
    os.close(theirs)
    try:
        seen = read_until(ours, LINE.encode(), b"")
        assert seen.startswith(LINE.encode()), "nothing is slower than the first word"
        seen = read_until(ours, b"starting Prefect's temporary server", seen)
        seen = read_until(ours, b"ingest ended after", seen)
        seen = read_until(ours, b" of 6", seen)
    finally:
        os.killpg(driver.pid, signal.SIGKILL)
        driver.wait()
        os.close(ours)
    assert "\u2501".encode() in seen, "a bar"
    assert b" INFO fld_engine.progress" not in seen, "what is drawn is not written, too"


def test_the_first_word_needs_none_of_the_imports_that_take_long() -> None:
    code = "import sys; import fld_engine.flows.command; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    slow = {"numpy", "prefect", "pyarrow", "pydantic", "ray", "rich", "typer"}
    assert not slow & set(re.split(r"\s+", done.stdout))
