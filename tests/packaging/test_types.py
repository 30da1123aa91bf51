"""The type checker sees every package: `make check` would say "no issues" of one that it cannot find, too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("annotators", "engine", "filters", "flows", "refinement", "schemas")


@pytest.mark.long
def test_an_error_planted_in_every_package_is_found(tmp_path: Path) -> None:
    planted = []
    for package in PACKAGES:
        source = f"src/fld_engine/{package}/__init__.py"
        shadow = tmp_path / f"{package}.py"
        shadow.write_text((REPOSITORY / source).read_text() + '\nplanted: int = "no number"\n')
        planted += ["--shadow-file", source, str(shadow)]
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), *planted]
    checked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    found = {line.split("/")[2] for line in checked.stdout.splitlines() if "Incompatible types in assignment" in line}
    assert found == set(PACKAGES), checked.stdout + checked.stderr
