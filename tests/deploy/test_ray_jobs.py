"""`ray job submit` to a head with a token: the driver runs there, and makes the root that a shell makes."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.deploy.by_shell import ByShell, exported
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.deploy

RAY = Path(sys.executable).parent / "ray"


@dataclass(frozen=True)
class Head:
    """A head's dashboard, and the variables that reach it."""

    dashboard: str
    environment: dict[str, str]


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    if not find_spec("opencensus"):
        pytest.skip("ray[default] is not installed: pip install 'fld-engine[cluster]'")
    with ExitStack() as probes:
        ports = []
        for _ in range(3):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**os.environ, **token}
    folder = Path("/tmp") / f"fld-test-{ports[0]}"  # a socket's path has 107 bytes, which pytest's folders exceed
    command = [RAY, "start", "--head", "--block", f"--port={ports[0]}", f"--dashboard-port={ports[1]}"]
    command += [f"--ray-client-server-port={ports[2]}", "--num-cpus=2", f"--temp-dir={folder}"]
    with (tmp_path / "head.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"],
            env={**environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
        )
    try:
        wait_until(lambda: listens(ports[1]), driver=process)
        yield Head(f"http://127.0.0.1:{ports[1]}", environment)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def submitted(head: Head, working_folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    submit = [RAY, "job", "submit", "--address", head.dashboard, "--working-dir", str(working_folder)]
    return subprocess.run(
        [*submit, "--", *command], env=head.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_a_submitted_run(head: Head, by_shell: ByShell, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    shutil.copy(by_shell.config, tmp_path / "sent/small.yaml")
    run = ["fld", "run", "small.yaml", "--root", str(tmp_path / "root"), "--runner", "ray", "--ray-address", "auto"]
    done = submitted(head, tmp_path / "sent", *run)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "head.log").read_text()
    assert "exported" in done.stdout, "the job's output is the run's"
    assert exported(tmp_path / "root") == exported(by_shell.root)
    config = json.loads((tmp_path / "root/run.json").read_text())
    assert config, "the root knows its runs"


def test_a_job_of_a_stranger_is_refused(head: Head, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    known = submitted(head, tmp_path / "sent", "true")
    assert known.returncode == 0, known.stdout + known.stderr
    stranger = Head(head.dashboard, {**head.environment, "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    assert submitted(stranger, tmp_path / "sent", "true").returncode != 0
