"""Disks that are full or read-only, folders of somebody else, credentials that run out in the middle of a run.

Each ends the run with a sentence that says what to do, and the same command goes on as soon as that is done.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import FLD
from tests.object_store import Kind, troubled_bucket
from tests.roots import digest, fake_config, run_pipeline, write_photographs
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.deploy

NOBODY = 65534


@dataclass(frozen=True)
class Given:
    """A recipe over forty photographs, and `made`, digests of what a run makes of it."""

    recipe: Path
    made: dict[str, str]


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    folder = tmp_path_factory.mktemp("given")
    write_photographs(folder / "photos", 40)
    config = fake_config(folder / "photos")
    recipe = folder / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    run_pipeline(folder / "root", config)
    return Given(recipe, digest(folder / "root"))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, in memory, of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k,mode=755", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "--recursive", folder], check=True)


def mount(*arguments: str | Path) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def fld(*arguments: str | Path, before: Sequence[str] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    command = [*before, *FLD, *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False, cwd="/"
    )


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that failed says at last."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("error: "), done.stderr
    return last


@pytest.mark.parametrize("size", ["4k", "64k", "700k", "1500k"])
def test_a_full_disk(given: Given, disk: Path, size: str) -> None:
    """Full before the first file, and while images, answers and pages are written."""
    mount("-o", f"remount,size={size}", disk)
    run = ("run", given.recipe, "--root", disk / "root")
    said = sentence(fld(*run))
    assert "the disk is full" in said
    assert "the same command goes on" in said
    mount("-o", "remount,size=500m", disk)
    assert fld(*run).returncode == 0
    assert made_in(disk / "root") == given.made


def test_a_disk_that_is_read_only(given: Given, disk: Path) -> None:
    mount("-o", "remount,size=500m", disk)
    run = ("run", given.recipe, "--root", disk / "root")
    assert fld(*run).returncode == 0
    shutil.rmtree(disk / "root/export")
    mount("-o", "remount,ro", disk)
    said = sentence(fld(*run))
    assert "Read-only file system" in said
    assert "give a --root that is writable" in said
    assert fld("status", "--root", disk / "root").returncode == 0, "looking needs no right to write"
    mount("-o", "remount,rw", disk)
    assert fld(*run).returncode == 0
    assert made_in(disk / "root") == given.made


def test_a_folder_of_somebody_else(given: Given, disk: Path) -> None:
    """And a home that is not there, as services have."""
    if os.getuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can give a folder away, and needs setpriv to be kept out of it")
    mount("-o", "remount,size=500m", disk)
    os.chown(disk, NOBODY, NOBODY)
    as_others_are = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    home = {"HOME": "/nonexistent", "PREFECT_HOME": ""}
    run = ("run", given.recipe, "--root", disk / "root")
    said = sentence(fld(*run, before=as_others_are, **home))
    assert f"Permission denied: '{disk}/root'" in said
    assert "give a writable --root" in said
    os.chown(disk, 0, 0)
    done = fld(*run, before=as_others_are, **home)
    assert done.returncode == 0, done.stderr
    assert made_in(disk / "root") == given.made


@dataclass
class Expired:
    """Credentials that are good for so many requests."""

    kind: Kind
    after: int

    def __call__(self, environ: dict[str, Any]) -> Kind | None:
        self.after -= 1
        return self.kind if self.after < 0 else None


@pytest.mark.parametrize(("kind", "after"), [("ExpiredToken", 10), ("ExpiredToken", 250), ("expired with 403", 600)])
def test_credentials_that_run_out(given: Given, tmp_path: Path, kind: Kind, after: int) -> None:
    """Before the first image, and while it works: of some 2,500 requests, these are the last that are granted."""
    with troubled_bucket() as bucket:
        run = ("run", given.recipe, "--root", f"{bucket.url}/root")
        bucket.troubles.append(Expired(kind, after))
        said = sentence(fld(*run))
        assert "does not accept the credentials" in said
        assert "AWS_SESSION_TOKEN" in said
        bucket.troubles.clear()
        done = fld(*run)
        assert done.returncode == 0, done.stderr
        assert made_in(f"{bucket.url}/root") == given.made


def made_in(root: Path | str) -> dict[str, str]:
    """Digests of what counts in a root, but of the pages, which know times."""
    return {path: sha256 for path, sha256 in digest(root).items() if not path.startswith("report/")}
