"""Annotators and filters are built from what is installed; names that would mix with the engine's own are refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fld_engine.engine.plan.config import AnnotatorConfig, FilterConfig
from fld_engine.engine.plan.registry import ANNOTATORS, FILTERS, STAGES, build_annotator, build_filter, installed_stages
from fld_engine.schemas.errors import ConfigError
from tests.distributions import write_distribution

FAKE = "fld_engine.annotators.composed.fake:FakeAnnotator"


@pytest.mark.parametrize(
    "name", ["coverage", "export", "human", "refinement", "report", "report-merge", "verdicts", "web"]
)
def test_an_annotator_cannot_have_the_name_of_a_stage_or_of_people(name: str) -> None:
    with pytest.raises(ConfigError, match=f"annotators.{name}: '{name}' is a reserved name"):
        build_annotator(name, AnnotatorConfig(use="fake"))


def test_a_package_cannot_bring_an_annotator_of_a_reserved_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-models", {ANNOTATORS: {"coverage": FAKE}}))
    with pytest.raises(ConfigError, match=r"package my-models brings annotator 'coverage': .* reserved name"):
        build_annotator("mine", AnnotatorConfig(use="fake"))


def test_a_class_without_parameters_is_refused_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-filters", {FILTERS: {"mine": "json:JSONDecoder"}}))
    with pytest.raises(ConfigError, match="filter 'mine' of package my-filters: expected a class with a nested"):
        build_filter("mine", FilterConfig())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"region": 1}, "key 'annotators.a.params.region' is not known; did you mean 'annotators.a.params.regions'"),
        ({"regions": -1}, r"annotators.a.params.regions: .* got -1"),
    ],
)
def test_a_wrong_parameter_is_named_by_its_place_in_the_config(params: dict[str, int], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_annotator("a", AnnotatorConfig(use="fake", params=params))


def test_a_rule_between_parameters_is_named_by_the_filter() -> None:
    with pytest.raises(ConfigError, match=r"filters.region-votes.params: .* 1 detectors cannot give 2 votes"):
        build_filter("region-votes", FilterConfig(params={"detectors": ["a"]}))


@pytest.fixture
def forgotten() -> Iterator[None]:
    """What is installed is looked up anew, before and after."""
    installed_stages.cache_clear()
    yield
    installed_stages.cache_clear()


class Later:
    """A stage that reads the work of `sooner`."""

    name = "later"
    after = ("sooner",)


class Sooner:
    name = "sooner"
    after = ("later",)


@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"later": "Later", "sooner": "Sooner"}, "stages read each other's work in a circle: later, sooner"),
        ({"earlier": "Later"}, "package my-stages brings stage 'earlier' that calls itself 'later'"),
    ],
)
def test_stages_that_cannot_be_ordered_or_found_are_refused(
    stages: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {name: f"{__name__}:{of_class}" for name, of_class in stages.items()}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-stages", {STAGES: entries}))
    with pytest.raises(ConfigError, match=message):
        installed_stages()


@pytest.mark.usefixtures("forgotten")
def test_a_stage_whose_predecessor_is_not_installed_comes_where_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {"later": f"{__name__}:Later"}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-stages", {STAGES: entries}))
    assert "later" in [stage.name for stage in installed_stages()]
