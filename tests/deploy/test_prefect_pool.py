"""A server, a work pool, a deployment, a worker, a run: each by Prefect's own command line, as a user does it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
import yaml

from tests.deploy.by_shell import ByShell, exported
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.deploy

REPOSITORY = Path(__file__).parents[2]
PREFECT = Path(sys.executable).parent / "prefect"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables by which a user reaches a Prefect server of their own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "server")}
    command = [PREFECT, "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_until(lambda: healthy(url), driver=process)
        yield {**os.environ, "PREFECT_HOME": str(tmp_path / "client"), "PREFECT_API_URL": url}
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def healthy(url: str) -> bool:
    try:
        with urlopen(f"{url}/health", timeout=5):
            return True
    except (URLError, OSError):
        return False


def prefect(server: dict[str, str], *arguments: str, folder: Path = REPOSITORY) -> str:
    done = subprocess.run(
        [PREFECT, *arguments], cwd=folder, env=server, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def flow_runs(server: dict[str, str]) -> list[dict[str, Any]]:
    url = f"{server['PREFECT_API_URL']}/flow_runs/filter"
    with urlopen(Request(url, b"{}", {"Content-Type": "application/json"}), timeout=60) as answer:
        found: list[dict[str, Any]] = json.load(answer)
    return found


def test_a_process_pool_makes_the_root_that_a_shell_makes(
    server: dict[str, str], by_shell: ByShell, tmp_path: Path
) -> None:
    parameters = {"root": str(tmp_path / "root"), "recipe": str(by_shell.config), "sources": None, "workers": 1}
    prefect(server, "work-pool", "create", "fld", "--type", "process")
    prefect(server, "--no-prompt", "deploy", "--prefect-file", "deploy/prefect.yaml", "--all")
    prefect(server, "deployment", "run", "fld-run/laptop", "--params", json.dumps(parameters))
    said = prefect(server, "worker", "start", "--pool", "fld", "--run-once", folder=tmp_path)
    assert [run["state_type"] for run in flow_runs(server)] == ["COMPLETED"], said
    assert exported(tmp_path / "root") == exported(by_shell.root)
    for command in (["flow", "ls"], ["flow-run", "ls"], ["work-pool", "ls"], ["artifact", "ls"]):
        assert prefect(server, *command), "Prefect's own commands can be used beside ours"
    (run,) = flow_runs(server)
    log = prefect(server, "flow-run", "logs", run["id"])
    assert "export ended after" in log, "the log of a worker's run, without any setting"
    fld = [Path(sys.executable).parent / "fld", "status", "--root", str(tmp_path / "root")]
    assert subprocess.run(fld, capture_output=True, check=False).returncode == 0, "a root like any other"


@pytest.fixture
def worker(server: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker of pool `fld`, which does one run after another."""
    prefect(server, "work-pool", "create", "fld", "--type", "process")
    prefect(server, "--no-prompt", "deploy", "--prefect-file", "deploy/prefect.yaml", "--all")
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [PREFECT, "worker", "start", "--pool", "fld"], cwd=tmp_path, env=server, stdout=log, stderr=log
        )
        yield process
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.mark.parametrize("how", ["cancelled", "its worker is stopped"])
def test_a_run_that_is_stopped_in_a_pool_goes_on(
    server: dict[str, str], worker: subprocess.Popen[bytes], by_shell: ByShell, tmp_path: Path, how: str
) -> None:
    """Cancelled, it gets SIGTERM and leaves the root as Ctrl-C does; a worker that stops kills its runs outright."""
    root = tmp_path / "root"
    slow = yaml.safe_load(by_shell.config.read_text())
    for annotator in slow["annotators"].values():
        annotator["params"]["seconds"] = 0.5
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump(slow))
    parameters = {"root": str(root), "recipe": str(tmp_path / "slow.yaml"), "sources": None, "workers": 1}
    prefect(server, "deployment", "run", "fld-run/laptop", "--params", json.dumps(parameters))
    wait_until(lambda: list(root.glob("stages/first/*.json")), driver=worker, output=tmp_path / "worker.log")
    if how == "cancelled":
        prefect(server, "flow-run", "cancel", flow_runs(server)[0]["id"])
        wait_until(lambda: flow_runs(server)[0]["state_type"] == "CANCELLED")
        wait_until(lambda: not (root / "lease.json").exists())
    else:
        worker.terminate()
        worker.wait(PATIENCE_S)
    assert not (root / "export").exists(), "it was to be stopped in the middle"
    fld = [Path(sys.executable).parent / "fld", "run", str(root)]
    done = subprocess.run(fld, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    assert exported(root).keys() == exported(by_shell.root).keys()


def test_both_deployments_are_what_prefect_takes(server: dict[str, str]) -> None:
    prefect(server, "work-pool", "create", "fld", "--type", "process")
    prefect(server, "--no-prompt", "deploy", "--prefect-file", "deploy/prefect.yaml", "--all")
    listed = prefect(server, "deployment", "ls")
    assert "fld-run/laptop" in listed
    assert "fld-run/cluster" in listed
