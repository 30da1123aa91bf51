"""Shell scripts that users run hold what shellcheck knows of shells."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.deploy

REPOSITORY = Path(__file__).parents[2]


def test_no_script_has_what_shellcheck_finds() -> None:
    if not (shellcheck := shutil.which("shellcheck")):
        pytest.skip("shellcheck is not installed: apt-get install shellcheck")
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    scripts = [name for name in listed.splitlines() if (REPOSITORY / name).is_file() and _is_script(REPOSITORY / name)]
    assert scripts
    checked = subprocess.run([shellcheck, *scripts], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def _is_script(path: Path) -> bool:
    with path.open("rb") as stream:
        first = stream.readline()
    return first.startswith(b"#!") and b"sh" in first.split(b"/")[-1]
