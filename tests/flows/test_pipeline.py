"""Prefect runs the stages, one flow each or all in one, and leaves its numbers as an artifact."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fld_engine.flows.pipeline import STAGE_FLOWS
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flows")


@pytest.fixture(scope="module")
def found(folder: Path, pytestconfig: pytest.Config) -> dict[str, Any]:
    """What the flows returned and left, each on a root of its own, with five photographs."""
    driver = [sys.executable, "-m", "tests.flows.prefect_driver", str(folder)]
    done = subprocess.run(
        driver, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=pytestconfig.rootpath
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return read


def test_one_flow_runs_the_whole_road_and_leaves_its_numbers(found: dict[str, Any], folder: Path) -> None:
    whole = found["whole"]
    assert (whole["ingested"], whole["num_samples"], whole["problems"]) == (5, 5, 0)
    assert list(whole["seconds"]) == list(STAGE_FLOWS)
    assert set(found["artifacts"]) == {"fld-road", "fld-report"}
    assert "samples 5" in found["artifacts"]["fld-road"]
    page = folder / "whole/report/index.html"
    assert page.as_uri() in found["artifacts"]["fld-report"]
    html = page.read_text(encoding="utf-8")
    assert "annotate" in html.split("<h2>Time</h2>")[1]  # the report knows the very run that made it


def test_stage_by_stage_makes_the_same_and_a_repeated_stage_does_nothing(found: dict[str, Any]) -> None:
    assert found["staged"]["export"]["num_samples"] == 5
    again = found["again"]
    assert (again["models_loaded"], again["images_read"], again["outputs_written"]) == (0, 0, 0)


def test_an_error_of_ours_is_not_retried(found: dict[str, Any]) -> None:
    assert "empty" in found["refused"]
    assert found["tries"] == 1, "no task of any of these flows ran twice"
