"""Prefect runs the stages, one flow each or all in one, and leaves its numbers as an artifact."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fld_engine.flows.asked import Asked
from fld_engine.flows.cli import app
from fld_engine.flows.pipeline import STAGE_FLOWS
from fld_engine.flows.start import begin
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
        driver, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False, cwd=pytestconfig.rootpath
    )
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return read


def test_one_flow_runs_the_whole_road_and_leaves_its_numbers(found: dict[str, Any], folder: Path) -> None:
    whole = found["whole"]
    assert (whole["ingested"], whole["num_samples"], whole["problems"]) == (5, 5, 0)
    assert list(whole["seconds"]) == list(STAGE_FLOWS)
    page = folder / "whole/report/index.html"
    road, report = (the(f"fld-{what}-whole-", found["artifacts"]) for what in ("road", "report"))
    assert "samples 5" in road
    assert page.as_uri() in report, "where the page can be opened, in words: browsers follow no link to a file"
    assert f"]({page.as_uri()})" not in report
    html = page.read_text(encoding="utf-8")
    assert "annotate" in html.split("<h2>Time</h2>")[1]  # the report knows the very run that made it


def the(prefix: str, artifacts: dict[str, Any]) -> Any:
    """The one artifact whose key begins so."""
    (key,) = (key for key in artifacts if key.startswith(prefix))
    return artifacts[key]


def test_each_stage_and_specialist_has_a_progress_artifact_that_moves(found: dict[str, Any]) -> None:
    for stage in found["whole"]["seconds"]:
        assert the(f"fld-progress-{stage}-whole-", found["artifacts"]) == 100
    assert the("fld-progress-annotate-first-whole-", found["artifacts"]) == 100
    assert [share for share in found["shares"] if 0 < share < 100], found["shares"]


def test_roots_on_one_server_have_artifacts_of_their_own_whose_keys_prefect_takes(found: dict[str, Any]) -> None:
    for root in ("whole", "staged"):
        assert len([key for key in found["keys"] if key.startswith(f"fld-report-{root}-")]) == 1
    assert all(re.fullmatch(r"[a-z0-9-]+", key) for key in found["keys"])


def test_the_log_of_a_run_in_prefect_has_its_progress_and_what_workers_warn_of(found: dict[str, Any]) -> None:
    messages = [log["message"] for log in found["logs"]]
    assert any(message.startswith("export ended after") for message in messages)
    (warning,) = (log for log in found["logs"] if f"failed on image {found['bad']}" in log["message"])
    assert re.search(rf"partition p\d+, specialist first, images {found['bad']}", warning["message"])
    assert warning["task_run_id"], "it belongs to the task of its stage"
    assert len(messages) == len({(log["timestamp"], log["message"]) for log in found["logs"]}), "a line came twice"


def test_stage_by_stage_makes_the_same_and_a_repeated_stage_does_nothing(found: dict[str, Any]) -> None:
    assert found["staged"]["export"]["num_samples"] == 5
    again = found["again"]
    assert (again["models_loaded"], again["images_read"], again["outputs_written"]) == (0, 0, 0)


def test_an_error_of_ours_is_not_retried(found: dict[str, Any]) -> None:
    assert "empty" in found["refused"]
    assert found["tries"] == 1, "no task of any of these flows ran twice"


def test_a_deployment_makes_a_root_that_every_command_goes_on_with(found: dict[str, Any], folder: Path) -> None:
    """Its run makes the root, and says in it where each setting came from; the server checks what it is given."""
    deployed = found["deployed"]
    assert deployed["state"] == "Completed"
    assert set(deployed["wrong"]) == {"workers", "runner"}
    root = str(folder / "deployed")
    begun = begin(Asked(root=root))
    assert (begun.config.seed, [spec.name for spec in begun.config.sources]) == (7, ["photos"])
    assert begun.origins.of("seed") == "--set"
    for command in (["status", "--root", root], ["run", root], ["export", "--root", root]):
        done = CliRunner().invoke(app, command, catch_exceptions=False)
        assert done.exit_code == 0, done.output
    assert "nothing to do" in CliRunner().invoke(app, ["run", root], catch_exceptions=False).output
