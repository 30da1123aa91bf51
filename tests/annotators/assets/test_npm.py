"""npm packages: what is asked for is taken out, what is not what was pinned is refused."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from fld_engine.annotators.assets import npm
from fld_engine.annotators.assets.catalogue import PackagedFile, PackagedModel
from fld_engine.schemas.errors import ModelError

WEIGHTS = b"weights of a small model"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def tarball(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def model_in(data: bytes, weights: bytes = WEIGHTS) -> PackagedModel:
    return PackagedModel(
        name="small",
        registry="npm",
        package="@scope/small-models",
        version="1.2.3",
        sha256=sha256(data),
        licence="MIT",
        size=len(data),
        weights_sha256=sha256(weights),
        files=(PackagedFile(path="models/small.bin", sha256=sha256(weights)),),
        converter=1,
    )


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def place(model: PackagedModel, data: bytes) -> None:
    path = npm.placed_tarball(model)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)


def put_npm_on_the_path(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """An `npm` of the test's own, so that no registry is asked."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_only_the_pinned_files_are_taken_out(cache: Path) -> None:
    """A tarball may hold anything, names that climb out of the folder included."""
    data = tarball({"package/models/small.bin": WEIGHTS, "package/huge.bin": b"x", "../../escaped": b"x"})
    model = model_in(data)
    place(model, data)
    npm.fetch(model, model.files)
    folder = npm.package_folder(model)
    assert [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()] == ["models/small.bin"]
    assert not (cache.parent / "escaped").exists()


def test_a_wrong_tarball_is_refused_with_both_hashes_and_the_cure() -> None:
    model = model_in(tarball({"package/models/small.bin": WEIGHTS}))
    place(model, b"<html>please log in</html>")
    with pytest.raises(
        ModelError, match=rf"has sha256 .*, expected {model.sha256}: delete .*scope-small-models-1\.2\.3"
    ):
        npm.fetch(model, model.files)
    assert not npm.package_folder(model).exists()


@pytest.mark.parametrize("members", [{"package/models/other.bin": WEIGHTS}, {"package/models/small.bin": b"other"}])
def test_a_tarball_without_the_pinned_file_is_refused(members: dict[str, bytes]) -> None:
    data = tarball(members)
    model = model_in(data)
    place(model, data)
    with pytest.raises(ModelError, match=r"small\.bin"):
        npm.fetch(model, model.files)


def test_without_npm_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelError, match=r"@scope/small-models@1\.2\.3, and npm is not on the PATH: install Node\.js"):
        npm.fetch(model_in(b""), ())


def test_what_npm_packs_is_verified_and_its_downloads_are_gone(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tarball({"package/models/small.bin": WEIGHTS})
    (tmp_path / "small.tgz").write_bytes(data)
    put_npm_on_the_path(
        tmp_path / "bin", monkeypatch, f'test "$2" = "@scope/small-models@1.2.3" && cp {tmp_path}/small.tgz .'
    )
    model = model_in(data)
    npm.fetch(model, model.files)
    assert (npm.package_folder(model) / "models/small.bin").read_bytes() == WEIGHTS
    assert [p.name for p in cache.iterdir()] == ["npm"]


def test_what_npm_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_npm_on_the_path(tmp_path / "bin", monkeypatch, "echo 'npm error code E404' >&2; exit 1")
    with pytest.raises(ModelError, match=r"npm could not fetch @scope/small-models@1\.2\.3: npm error code E404"):
        npm.fetch(model_in(b""), ())
