"""`ray job submit` to a head with a token: the driver runs there, and makes the root that a shell makes."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.deploy.by_shell import ByShell, exported
from tests.deploy.ray_head import RAY, Head, free_ports, ray_head
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.deploy


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Head]:
    if not find_spec("opencensus"):
        pytest.skip("ray[default] is not installed: pip install 'fld-engine[cluster]'")
    with ray_head(tmp_path / "head.log", "--num-cpus=2", ports=free_ports(3)) as head:
        yield head


def ray_job(head: Head, what: str, job: str) -> str:
    command = [RAY, "job", what, "--address", head.dashboard, job]
    done = subprocess.run(
        command, env=head.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    return done.stdout + done.stderr


def submitted(
    head: Head, working_folder: Path, *command: str, options: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    working_folder.mkdir(exist_ok=True)
    submit = [RAY, "job", "submit", "--address", head.dashboard, "--working-dir", str(working_folder), *options]
    return subprocess.run(
        [*submit, "--", *command], env=head.environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_a_submitted_run(head: Head, by_shell: ByShell, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    shutil.copy(by_shell.config, tmp_path / "sent/small.yaml")
    run = ["fld", "run", "small.yaml", "--root", str(tmp_path / "root"), "--runner", "ray", "--ray-address", "auto"]
    done = submitted(head, tmp_path / "sent", *run)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "head.log").read_text()
    assert "exported 12 samples" in done.stdout, "what the run says is what the job says"
    assert exported(tmp_path / "root") == exported(by_shell.root)


def test_a_stopped_job_says_how_far_it_came_and_goes_on(head: Head, by_shell: ByShell, tmp_path: Path) -> None:
    (tmp_path / "sent").mkdir()
    shutil.copy(by_shell.config, tmp_path / "sent/small.yaml")
    run = ["fld", "run", "small.yaml", "--root", str(tmp_path / "root"), "--runner", "ray", "--ray-address", "auto"]
    patient = ["--runtime-env-json", '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "300"}}', "--no-wait"]
    sent = submitted(head, tmp_path / "sent", *run, options=[*patient, "--submission-id", "stopped"])
    assert sent.returncode == 0, sent.stdout + sent.stderr
    wait_until((tmp_path / "root/ingest/000001.json").exists)
    assert "STOPPED" in ray_job(head, "stop", "stopped").upper()
    assert "the same command goes on" in ray_job(head, "logs", "stopped")
    done = submitted(head, tmp_path / "sent", *run)
    assert done.returncode == 0, done.stdout + done.stderr
    assert exported(tmp_path / "root") == exported(by_shell.root)


def test_a_stranger_s_job_is_refused(head: Head, tmp_path: Path) -> None:
    known = submitted(head, tmp_path / "sent", "true")
    assert known.returncode == 0, known.stdout + known.stderr
    stranger = replace(head, environment={**head.environment, "RAY_AUTH_TOKEN": secrets.token_hex(32)})
    assert submitted(stranger, tmp_path / "sent", "true").returncode != 0
