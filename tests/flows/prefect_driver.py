"""The flows beside a real server, as a process of its own: `python -m tests.flows.prefect_driver FOLDER`.

Prefect leaves threads behind that a process which forks later, as readers of shards do, does not survive.
Writes what it found to `FOLDER/found.json`, for `test_pipeline.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.deployments import run_deployment
from prefect.deployments.runner import RunnerDeployment
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_LOGGING_TO_API_ENABLED,
    get_current_settings,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from fld_engine.flows import artifacts
from fld_engine.flows.pipeline import STAGE_FLOWS, run_flow
from fld_engine.schemas.errors import SourceError
from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S


def known_to_the_server(what: str) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"{PREFECT_API_URL.value()}/{what}/filter", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return list(json.load(response))


def note_shares(key: str) -> list[float]:
    """What the progress artifact whose key begins so is told from now on."""
    told: list[float] = []
    update = SyncPrefectClient.update_artifact

    def noted(self: SyncPrefectClient, artifact_id: UUID, artifact: ArtifactUpdate) -> None:
        update(self, artifact_id, artifact)
        (found,) = [one for one in known_to_the_server("artifacts") if one["id"] == str(artifact_id)]
        if found["key"].startswith(key):
            told.append(found["data"])

    SyncPrefectClient.update_artifact = noted  # type: ignore[method-assign]
    return told


def deployed(root: Path, recipe: Path, source: Path) -> dict[str, Any]:
    """A deployment of the flow, whose run is done in a process of its own, as a worker of a process pool does it."""
    parameters = {"root": str(root), "recipe": str(recipe), "sources": [str(source)], "overrides": ["seed=7"]}
    entrypoint = "fld_engine.flows.pipeline.run_flow"
    RunnerDeployment.from_entrypoint(entrypoint, name="nightly", parameters=parameters).apply()
    wrong = dict[str, str]()
    for given in ({"workers": "many"}, {"runner": "slurm"}):
        try:
            run_deployment("fld-run/nightly", parameters=given, timeout=0)
        except Exception as error:  # noqa: BLE001 - the server's answer, whatever its class
            wrong[next(iter(given))] = str(error)
    run: Any = run_deployment("fld-run/nightly", timeout=0)
    environment = {
        **os.environ,
        **get_current_settings().to_environment_variables(),
        "PREFECT__FLOW_RUN_ID": str(run.id),
    }
    subprocess.run([sys.executable, "-m", "prefect.engine"], env=environment, check=True, timeout=PATIENCE_S)
    (ended,) = [one for one in known_to_the_server("flow_runs") if one["id"] == str(run.id)]
    return {"state": ended["state_name"], "wrong": wrong}


def main(folder: Path) -> None:
    bad = write_photographs(folder / "photos", 5)[2]
    (folder / "empty").mkdir()
    config = fake_config(folder / "photos").model_dump(mode="json")
    found: dict[str, Any] = {}

    slow = {"use": "fake", "params": {"regions": 3, "seconds": 1.0, "raise_on": [bad]}, "batch_size": 1}
    watched = fake_config(folder / "photos", annotators={"first": slow}).model_dump(mode="json")
    shares = note_shares("fld-progress-annotate-first-")
    whole = run_flow(str(folder / "whole"), recipe=watched)
    found["whole"] = whole.model_dump(mode="json")
    found["shares"], found["bad"] = list(shares), bad
    found["artifacts"] = {artifact["key"]: artifact["data"] for artifact in known_to_the_server("artifacts")}
    APILogWorker.drain_all()
    found["logs"] = known_to_the_server("logs")

    root = str(folder / "staged")
    found["staged"] = {
        stage: flow(root, stage=stage, recipe=config).model_dump(mode="json") for stage, flow in STAGE_FLOWS.items()
    }
    found["keys"] = sorted({artifact["key"] for artifact in known_to_the_server("artifacts")})
    found["again"] = STAGE_FLOWS["annotate"](root, stage="annotate").model_dump(mode="json")

    try:
        run_flow(str(folder / "refused"), recipe=fake_config(folder / "empty").model_dump(mode="json"))
    except SourceError as error:
        found["refused"] = str(error)
    found["tries"] = max(run["run_count"] for run in known_to_the_server("task_runs"))

    del config["sources"]
    (folder / "recipe.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    found["deployed"] = deployed(folder / "deployed", folder / "recipe.yaml", folder / "photos")
    (folder / "found.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    artifacts.UPDATE_S = 0.3  # small runs are over before the usual first look
    with (
        prefect_test_harness(server_startup_timeout=int(PATIENCE_S)),
        temporary_settings(updates={PREFECT_LOGGING_TO_API_ENABLED: True}),
    ):
        main(Path(sys.argv[1]))
