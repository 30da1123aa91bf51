"""What installed packages bring is found by name, and a package that does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.engine.data.discovery import installed, load, package_of, release_of
from fld_engine.schemas.errors import ConfigError
from tests.distributions import write_distribution

GROUP = "fld_engine.filters"


def test_what_two_packages_bring_is_found_by_name_with_the_package_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-filters", {GROUP: {"a-filter": "nowhere:Filter"}}))
    found = installed(GROUP)
    assert list(found) == sorted(found)
    assert (package_of(found["a-filter"]), release_of(found["a-filter"])) == ("my-filters", "1.0")
    assert package_of(found["region-nms"]) == "fld-engine"


def test_a_name_that_two_packages_bring_is_refused_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-filters", {GROUP: {"region-nms": "mine:Filter"}}))
    with pytest.raises(ConfigError, match="fld-engine and my-filters both bring 'region-nms'"):
        installed(GROUP)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Filter", "ModuleNotFoundError"),
        ("fails_on_import:Filter", "RuntimeError: no licence file"),
        ("json:Filter", "has no attribute 'Filter'"),
    ],
)
def test_code_that_cannot_be_imported_is_an_error_that_names_its_package(
    target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "fails_on_import.py").write_text("raise RuntimeError('no licence file')\n")
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-filters", {GROUP: {"a-filter": target}}))
    with pytest.raises(ConfigError, match=f"filter 'a-filter' of package my-filters .*{message}"):
        load(GROUP, "a-filter", "filter")


def test_a_name_that_nobody_brings_is_an_error_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"filter 'region-mns' is not known; did you mean 'region-nms'"):
        load(GROUP, "region-mns", "filter")
