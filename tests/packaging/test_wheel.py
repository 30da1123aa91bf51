"""What is shipped is what is tested: the wheel installs, its command answers, and one import name is all it takes."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.long

REPOSITORY = Path(__file__).parents[2]


def test_the_wheel_takes_one_import_name_and_holds_every_file(wheel: Path) -> None:
    """Six generic names in site-packages would be overwritten by whoever installs a package called `filters`."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/", 1)[0] for name in names if ".dist-info/" not in name} == {"fld_engine"}
    source = REPOSITORY / "src"
    here = {str(path.relative_to(source)) for path in _files(source / "fld_engine")}
    assert here - set(names) == set()


def _files(folder: Path) -> Iterator[Path]:
    """Files below a folder, links to folders followed."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "__pycache__":
            yield from _files(path)
        elif path.is_file():
            yield path


@pytest.fixture(scope="module")
def wheel_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel in it; its dependencies are lent by the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True, timeout=PATIENCE_S)
    lent = folder / "lent"
    lent.mkdir()
    for entry in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if "fld_engine" not in entry.name and not entry.name.endswith(".pth"):
            (lent / entry.name).symlink_to(entry)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (folder / "venv/lib" / version / "site-packages/lent.pth").write_text(f"{lent}\n")
    return python


def test_the_wheel_runs_the_command_and_a_tiny_pipeline(wheel_python: Path, tmp_path: Path) -> None:
    fld = wheel_python.parent / "fld"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    help_ = [fld, "--help"]
    shown = subprocess.run(
        help_, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=tmp_path, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert "explain" in shown.stdout
    write_photographs(tmp_path / "photos", 3)
    config = fake_config(tmp_path / "photos").model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    run = [fld, "run", "tiny.yaml", "--root", "root"]
    done = subprocess.run(
        run, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "exported 3 samples" in done.stdout
    assert (tmp_path / "root/report/index.html").is_file()  # templates and scripts are in the wheel
    where = [wheel_python, "-c", "import fld_engine; print(fld_engine.__file__)"]
    shown = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert "site-packages" in shown.stdout
