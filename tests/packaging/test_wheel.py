"""What is shipped is what is tested: the wheel installs, its command answers, and its six names are its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from importlib.metadata import distributions
from pathlib import Path

import pytest
import yaml

from tests.roots import fake_config, write_photographs

REPOSITORY = Path(__file__).parents[2]
PACKAGES = {"schemas", "engine", "annotators", "filters", "refinement", "flows"}


def test_no_other_distribution_owns_files_under_our_names() -> None:
    for distribution in distributions():
        if distribution.metadata["Name"] == "fld-engine":
            continue
        tops = {str(file).split("/", 1)[0] for file in distribution.files or () if "/" in str(file)}
        assert not tops & PACKAGES, f"{distribution.metadata['Name']} owns files under {tops & PACKAGES}"


@pytest.fixture(scope="module")
def wheel_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean environment with the wheel in it; its dependencies are lent by the one that runs the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(REPOSITORY)], check=True, capture_output=True, timeout=120)
    wheel = next(folder.glob("fld_engine-*.whl"))
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], check=True, timeout=120)
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
        help_, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path, env=environment
    )
    assert shown.returncode == 0, shown.stderr
    assert "explain" in shown.stdout
    write_photographs(tmp_path / "photos", 3)
    config = fake_config(tmp_path / "photos").model_dump(mode="json", exclude_defaults=True)
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    run = [fld, "run", "tiny.yaml", "--root", "root"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=180, check=False, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert "exported 3 samples" in done.stdout
    assert (tmp_path / "root/report/index.html").is_file()  # templates and scripts are in the wheel
    where = [wheel_python, "-c", "import engine; print(engine.__file__)"]
    shown = subprocess.run(where, capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert "site-packages" in shown.stdout
