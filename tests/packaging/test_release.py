"""What a release says of itself in several places is one thing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from fld_engine.flows.doctor.machine import NEWEST, OLDEST

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return found


def test_the_citation_names_the_version_that_is_built(project: dict[str, Any]) -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == project["version"]
    assert citation["license"] == project["license"]


def test_the_versions_of_python_that_are_declared_are_those_that_are_tested_and_looked_for(
    project: dict[str, Any],
) -> None:
    declared = [one.rpartition(" ")[2] for one in project["classifiers"] if "Python :: 3." in one]
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    assert workflow["jobs"]["core"]["strategy"]["matrix"]["python"] == declared
    assert [".".join(map(str, version)) for version in (OLDEST, NEWEST)] == [declared[0], declared[-1]]
    oldest, newest = OLDEST[1], NEWEST[1]
    assert project["requires-python"] == f">=3.{oldest},<3.{newest + 1}"
