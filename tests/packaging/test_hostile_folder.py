"""A run from a folder with names of ours in it, as people have them, uses our code and not theirs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
import yaml

from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S, wait_until

BOMB = 'raise RuntimeError("imported from the working directory")\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Modules and packages that raise when they are imported, an empty `fld_engine/`, three photographs, a config."""
    for package in ("flows", "schemas", "filters", "annotators", "refinement"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(BOMB)
    (tmp_path / "engine.py").write_text(BOMB)
    (tmp_path / "fld_engine").mkdir()
    write_photographs(tmp_path / "photos", 3)
    config = fake_config(tmp_path / "photos").model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | more


def run(folder: Path, *options: str, **variables: str) -> str:
    fld = Path(sys.executable).parent / "fld"
    command = [fld, "run", "tiny.yaml", "--root", "root", *options]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
@pytest.mark.parametrize("runner", ["local", "ray"])
def test_a_run_with_a_temporary_server(folder: Path, runner: str) -> None:
    assert "exported 3 samples" in run(folder, "--runner", runner)


@pytest.fixture
def server(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Prefect's own server, started in that folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    home = str(tmp_path_factory.mktemp("prefect"))
    command = [Path(sys.executable).parent / "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, cwd=folder, env=environment(PREFECT_HOME=home), stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(f"{url}/health"), driver=process)
        yield url
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=5):
            return True
    except (URLError, OSError):
        return False


@pytest.mark.long
def test_a_run_with_a_server_of_its_own(folder: Path, server: str) -> None:
    assert "exported 3 samples" in run(folder, PREFECT_API_URL=server)
