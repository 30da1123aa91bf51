"""The commands that say what is installed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from fld_engine.flows.cli import app
from tests.flows.test_cli import fld


def printed(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_a_filter_is_shown_with_its_parameters_for_people_and_for_programs() -> None:
    shown = printed("filters", "region-nms")
    assert "region-nms, of fld-engine" in shown
    assert "0.6" in shown
    found = json.loads(printed("filters", "region-nms", "--json"))
    assert found["says"] == {"target": ["regions"], "requires": ["region_texts", "regions"]}
    assert [(row["name"], row["default"]) for row in found["parameters"]] == [("iou", 0.6), ("human_iou", 0.7)]


@pytest.mark.parametrize("group", ["annotators", "filters", "sources", "exporters"])
def test_what_is_installed_of_a_group_is_listed(group: str) -> None:
    names = [one["name"] for one in json.loads(printed(group, "--json"))]
    shown = printed(group)
    assert all(name in shown for name in names)
    assert names or f"no {group.removesuffix('s')} is installed" in shown


def test_a_name_that_is_not_installed_is_bad_usage() -> None:
    failed = fld("annotators", "nanodett")
    assert (failed.returncode, "did you mean 'nanodet'" in failed.stderr) == (2, True)


def test_the_schema_and_the_reference_are_printed() -> None:
    assert "annotators.nanodet" in json.loads(printed("config", "schema"))["$defs"]
    assert "\n### nanodet\n" in printed("config", "reference", "--package", "fld-engine")
