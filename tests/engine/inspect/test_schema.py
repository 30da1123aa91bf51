"""The schema of a config file takes what the engine takes, and refuses what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

from fld_engine.engine.data.discovery import installed
from fld_engine.engine.inspect.schema import config_schema
from fld_engine.engine.plan.config import load_config
from fld_engine.engine.plan.layers import recipe_names
from fld_engine.engine.plan.registry import ANNOTATORS, FILTERS
from fld_engine.schemas.annotations import Frozen
from tests.distributions import write_distribution

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "docs" / "config.schema.json"
SCHEMA = json.loads(PUBLISHED.read_text())


class Halves:
    """A filter of somebody else's."""

    class Params(Frozen):
        """Which half."""

        first: bool = True


def faults(config: str, schema: object = SCHEMA) -> list[str]:
    validator = jsonschema.Draft202012Validator(schema)
    return [error.message for error in validator.iter_errors(yaml.safe_load(config))]


def test_the_published_schema_is_that_of_what_we_bring() -> None:
    current = json.dumps(config_schema(package="fld-engine"), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    assert PUBLISHED.read_text() == current, "run: fld config schema --package fld-engine > docs/config.schema.json"
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("recipe", ["cluster", "demo", "laptop", "laptop-hub"])
def test_a_recipe_that_ships_is_valid_as_it_is_written_and_as_a_root_keeps_it(recipe: str) -> None:
    assert recipe in recipe_names()
    assert faults((ROOT / "flows" / "recipes" / f"{recipe}.yaml").read_text()) == []
    assert faults(json.dumps(load_config(recipe).model_dump(mode="json"))) == []
    assert load_config(recipe).name == recipe


@pytest.mark.parametrize(
    "config",
    [
        "{extends: laptop, annotators: {scene-text: null}}",
        "{extends: laptop, annotators: null, export: {splits: null}}",
        "{extends: laptop, annotators: {detector: {batch_size: 3, params: {min_score: null}}}}",
        "{extends: laptop, filters: {region-nms: null}, partitions: {max_mb: null}}",
        "{extends: cluster, annotators: {detector: {use: object-detection, params: {dtype: bfloat16}}}}",
        "{sources: [{url: here}], refine: {training: {curriculum: [{from_share: 0, max_regions: 2}]}}}",
        "{sources: [{url: here, kind: folder}, {url: there, kind: auto}], exporters: {coco: {params: {images: true}}}}",
        "{refine: {sparse: null, rules: {merge: {drop_below: null}}}}",
        "{filters: {mine: {use: region-nms}, region-nms: {params: {iou: 1}}}}",
    ],
)
def test_what_the_engine_takes_is_valid(config: str, tmp_path: Path) -> None:
    assert faults(config) == []
    (tmp_path / "config.yaml").write_text(config)
    load_config(str(tmp_path / "config.yaml"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("{anotators: {}}", "'anotators' was unexpected"),
        ("{partitions: {max_imges: 3}}", "'max_imges' was unexpected"),
        ("{partitions: {max_images: 0}}", "0 is less than or equal to"),
        ("{annotators: {detector: {use: nanodett}}}", "'nanodett' is not one of"),
        ("{annotators: {detector: {use: nanodet, params: {min_scor: 1}}}}", "'min_scor' was unexpected"),
        ("{annotators: {nanodet: {params: {min_scor: 1}}}}", "'min_scor' was unexpected"),
        ("{annotators: {detector: {}}}", "'use' is a required property"),
        ("{filters: {region-nms: {params: {iou: 3}}}}", "3 is greater than the maximum"),
        ("{extends: laptop, filters: {mine: {use: region-nms, params: {iou: 3}}}}", "3 is greater than the maximum"),
        ("{refine: {bogus: 1}}", "'bogus' was unexpected"),
        ("{refine: {training: {num_steps: many}}}", "'many' is not of type"),
        ("{refine: {training: {curriculum: [{from_share: 0.1}]}}}", "'max_regions' is a required property"),
        ("{sources: [{url: x, kind: foldr}]}", "'foldr' is not one of"),
        ("{sources: [{url: x, kind: folder, params: {deep: 1}}]}", "'deep' was unexpected"),
        ("{exporters: {coco: {params: {image: true}}}}", "'image' was unexpected"),
        ("{sources: [{name: x}]}", "'url' is a required property"),
        ("{sources: [{url: null}]}", "None is not of type 'string'"),
        ("{extends: 3}", "3 is not of type 'string'"),
    ],
)
def test_what_the_engine_refuses_is_not(config: str, message: str) -> None:
    assert any(message in found for found in faults(config)), faults(config)


def test_every_annotator_and_filter_of_ours_can_be_named() -> None:
    for group, key in ((ANNOTATORS, "annotators"), (FILTERS, "filters")):
        for name in installed(group):
            assert faults(json.dumps({key: {"mine": {"use": name}}})) == [], name


def test_what_another_package_brings_is_in_the_schema_of_what_is_installed_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = {FILTERS: {"halves": f"{__name__}:Halves"}, "fld_engine.sections": {"mine": f"{__name__}:Halves.Params"}}
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "my-halves", entries))
    schema = config_schema()
    assert faults("{mine: {first: false}, filters: {halves: {params: {first: true}}}}", schema) == []
    assert "'second' was unexpected" in str(faults("{mine: {second: 1}}", schema))
    assert "'second' was unexpected" in str(faults("{filters: {halves: {params: {second: 1}}}}", schema))
    assert config_schema(package="fld-engine") == SCHEMA
