"""The commands that say what is installed."""

from __future__ import annotations

import json

import pytest

from tests.flows.test_cli import fld


def test_a_filter_is_shown_with_its_parameters_for_people_and_for_programs() -> None:
    shown = fld("filters", "region-nms")
    assert shown.returncode == 0, shown.stderr
    assert "region-nms, of fld-engine" in shown.stdout
    assert "0.6" in shown.stdout
    found = json.loads(fld("filters", "region-nms", "--json").stdout)
    assert found["says"] == {"target": ["regions"], "requires": ["region_texts", "regions"]}
    assert [(row["name"], row["default"]) for row in found["parameters"]] == [("iou", 0.6)]


@pytest.mark.parametrize("group", ["annotators", "filters", "sources", "exporters"])
def test_what_is_installed_of_a_group_is_listed(group: str) -> None:
    listed = fld(group, "--json")
    assert listed.returncode == 0, listed.stderr
    names = [one["name"] for one in json.loads(listed.stdout)]
    shown = fld(group).stdout
    assert all(name in shown for name in names)
    assert names or f"no {group.removesuffix('s')} is installed" in shown


def test_a_name_that_is_not_installed_is_bad_usage() -> None:
    failed = fld("annotators", "nanodett")
    assert (failed.returncode, "did you mean 'nanodet'" in failed.stderr) == (2, True)


def test_the_schema_and_the_reference_are_printed() -> None:
    schema = json.loads(fld("config", "schema").stdout)
    assert "annotators.nanodet" in schema["$defs"]
    assert "\n### nanodet\n" in fld("config", "reference", "--package", "fld-engine").stdout
