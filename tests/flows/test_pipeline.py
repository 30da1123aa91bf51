"""Prefect runs the stages, one flow each or all in one, and leaves its numbers as an artifact."""

from __future__ import annotations

import gc
import json
import urllib.request
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from fld_engine.engine.plan.config import RunConfig
from fld_engine.flows.pipeline import STAGE_FLOWS, run_flow
from fld_engine.schemas.errors import SourceError
from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness  # a server: seconds, wherever tests are collected

    with prefect_test_harness(server_startup_timeout=int(PATIENCE_S)):
        yield
    with warnings.catch_warnings():  # Prefect's clients leave sockets to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    write_photographs(tmp_path / "photos", 5)
    return fake_config(tmp_path / "photos")


def test_one_flow_runs_the_whole_road_and_leaves_its_numbers(config: RunConfig, tmp_path: Path) -> None:
    summary = run_flow(str(tmp_path / "root"), recipe=config.model_dump(mode="json"))
    assert (summary.ingested, summary.num_samples, summary.problems) == (5, 5, 0)
    assert list(summary.seconds) == list(STAGE_FLOWS)
    request = urllib.request.Request(
        f"{PREFECT_API_URL.value()}/artifacts/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        artifacts = json.load(response)
    found = {a["key"]: a["data"] for a in artifacts}
    assert set(found) == {"fld-road", "fld-report"}
    assert "samples 5" in found["fld-road"]
    page = tmp_path / "root" / "report" / "index.html"
    assert page.as_uri() in found["fld-report"]
    html = page.read_text(encoding="utf-8")
    assert "annotate" in html.split("<h2>Time</h2>")[1]  # the report knows the very run that made it


def test_stage_by_stage_makes_the_same_and_a_repeated_stage_does_nothing(config: RunConfig, tmp_path: Path) -> None:
    root, recipe = str(tmp_path / "root"), config.model_dump(mode="json")
    summaries = {stage: flow(root, stage=stage, recipe=recipe) for stage, flow in STAGE_FLOWS.items()}
    assert summaries["export"].num_samples == 5
    again = STAGE_FLOWS["annotate"](root, stage="annotate")
    assert (again.models_loaded, again.images_read, again.outputs_written) == (0, 0, 0)


def test_an_error_of_ours_is_not_retried(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError):
        run_flow(str(tmp_path / "root"), recipe=fake_config(tmp_path / "empty").model_dump(mode="json"))
