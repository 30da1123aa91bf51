"""The wheel as an index would have it, and environments that it is installed into."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S

REPOSITORY = Path(__file__).parents[2]
INSTALL_LIMIT_S = 1500.0
"""The largest environment took 4 minutes on two cores that did other work."""


def build_wheel(folder: Path) -> Path:
    """Built from a source distribution of the files that git knows."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    for file in filter(None, listed.split("\0")):
        (folder / "source" / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / file, folder / "source" / file, follow_symlinks=False)
    code = "import setuptools.build_meta as b; b.build_sdist('..')"
    subprocess.run(
        [sys.executable, "-c", code], cwd=folder / "source", check=True, capture_output=True, timeout=PATIENCE_S
    )
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(next(folder.glob("*.tar.gz")))], check=True, capture_output=True, timeout=PATIENCE_S)
    return next(folder.glob("fld_engine-*.whl"))


def interpreter(version: str) -> str:
    """A Python of that version on the path or among those of pyenv, whose shims need not run; empty without one."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
    return next((path for path in found if path and _runs(path)), "")


def _runs(python: str) -> bool:
    return subprocess.run([python, "--version"], capture_output=True, timeout=PATIENCE_S, check=False).returncode == 0


class Environment:
    """An environment of its own, made by `python`, with the wheel and some extras in it, at the pinned versions."""

    def __init__(self, folder: Path, python: str, wheel: Path, *extras: str) -> None:
        self.folder = folder
        subprocess.run([python, "-m", "venv", str(folder / "venv")], check=True, timeout=PATIENCE_S)
        what = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
        pinned = ["--constraint", str(REPOSITORY / "constraints.txt")]
        done = self.call("python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *pinned, what)
        assert done.returncode == 0, done.stderr

    def call(self, program: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """What a program of the environment says, started in its folder."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(
            [str(self.folder / "venv/bin" / program), *arguments],
            cwd=self.folder,
            env=kept | {"PREFECT_HOME": str(self.folder / "prefect")} | variables,
            capture_output=True,
            text=True,
            timeout=INSTALL_LIMIT_S,
            check=False,
        )

    def fld(self, *arguments: str, **variables: str) -> str:
        """What a command of ours prints; it has to succeed."""
        done = self.call("fld", *arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *arguments: str) -> str:
        """What a command says that has to fail with a sentence, and no traceback."""
        done = self.call("fld", *arguments)
        assert done.returncode != 0, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr

    def versions(self) -> dict[str, str]:
        """Version of each distribution in it."""
        listed = self.call("python", "-m", "pip", "list", "--format=freeze", "--disable-pip-version-check").stdout
        return dict(line.split("==") for line in listed.split() if "==" in line)


def write_tiny(folder: Path, changes: dict[str, object] | None = None, *, num_images: int = 3) -> None:
    """Photographs and `tiny.yaml`, a config with the fake annotator, in a folder."""
    write_photographs(folder / "photos", num_images)
    config = fake_config(folder / "photos", **(changes or {})).model_dump(mode="json", exclude_defaults=True)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
