"""The batch script makes a root over two nodes of a real Slurm, as the shell makes it on one machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.deploy import slurm
from tests.deploy.by_shell import ByShell, exported
from tests.waiting import wait_until

pytestmark = pytest.mark.deploy

SCRIPT = Path(__file__).parents[2] / "deploy/slurm/fld.sbatch"
DONE = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Mapping[str, str]]:
    if why := slurm.missing():
        pytest.skip(why)
    with slurm.two_nodes(tmp_path / "slurm") as environment:
        yield {**environment, "FLD_ENVIRONMENT": sys.prefix}


def submitted(nodes: Mapping[str, str], folder: Path, *arguments: str) -> str:
    command = ["sbatch", "--parsable", "--nodes=2", str(SCRIPT), *arguments]
    done = subprocess.run(command, cwd=folder, env=nodes, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def ended(nodes: Mapping[str, str], job: str) -> str:
    """State and exit code of a job that ended."""

    def look() -> str:
        told = slurm.said(nodes, "scontrol", "show", "job", job)
        state = re.search(r"JobState=(\w+)", told)
        code = re.search(r"ExitCode=(\S+)", told)
        return f"{state[1]} {code[1]}" if state and code and state[1] in DONE else ""

    return wait_until(look)


def test_a_run_over_two_nodes(nodes: Mapping[str, str], by_shell: ByShell, tmp_path: Path) -> None:
    job = submitted(nodes, tmp_path, str(by_shell.config), "--root", "root")
    how = ended(nodes, job)
    log = (tmp_path / f"fld-{job}.log").read_text()
    assert how == "COMPLETED 0:0", log
    assert exported(tmp_path / "root") == exported(by_shell.root)
    assert f"2 nodes joined Ray: {2 * (os.cpu_count() or 1)} CPU, 0 GPU" in log, "what Slurm gave is what Ray has"

    again = submitted(nodes, tmp_path, str(by_shell.config), "--root", "root")
    assert ended(nodes, again) == "COMPLETED 0:0"
    assert "nothing to do" in (tmp_path / f"fld-{again}.log").read_text()
    assert not list(Path("/tmp").glob(f"fld-*-{job}"))


def test_a_job_whose_time_is_up_goes_on_when_it_is_submitted_again(
    nodes: Mapping[str, str], by_shell: ByShell, tmp_path: Path
) -> None:
    """Slurm signals the batch script alone, as `--signal=B:TERM` asks it to before the end; the driver is told."""
    job = submitted(nodes, tmp_path, str(by_shell.config), "--root", "root")
    wait_until((tmp_path / "root/ingest/000001.json").exists)
    subprocess.run(["scancel", "--batch", "--signal=TERM", job], env=nodes, check=True)
    assert ended(nodes, job) == "FAILED 143:0"
    again = submitted(nodes, tmp_path, str(by_shell.config), "--root", "root")
    assert ended(nodes, again) == "COMPLETED 0:0", (tmp_path / f"fld-{again}.log").read_text()
    assert exported(tmp_path / "root") == exported(by_shell.root)


def test_the_job_s_exit_code_is_the_run_s(nodes: Mapping[str, str], tmp_path: Path) -> None:
    job = submitted(nodes, tmp_path, "demo", "--root", "root", "--set", "partitions.max_imges=2")
    assert ended(nodes, job) == "FAILED 2:0"
    assert "did you mean" in (tmp_path / f"fld-{job}.log").read_text()
