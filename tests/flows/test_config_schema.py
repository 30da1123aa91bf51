"""The published JSON Schema is that of the config."""

from __future__ import annotations

import json
from pathlib import Path

from fld_engine.engine.plan.config import RunConfig, load_config, recipe_names

PUBLISHED = Path(__file__).parents[2] / "docs" / "config.schema.json"


def test_the_published_schema_is_that_of_the_config() -> None:
    schema = json.dumps(RunConfig.model_json_schema(), indent=2, sort_keys=True) + "\n"
    assert PUBLISHED.read_text() == schema, "run: python -c 'from tests.flows.test_config_schema import write; write()'"


def write() -> None:
    """Publish the schema as it is now."""
    PUBLISHED.write_text(json.dumps(RunConfig.model_json_schema(), indent=2, sort_keys=True) + "\n")


def test_every_recipe_that_ships_resolves() -> None:
    assert recipe_names() == ["cluster", "demo", "laptop", "laptop-hub"]
    for name in recipe_names():
        assert load_config(name).name == name
