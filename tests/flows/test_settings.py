"""`fld init` writes a config that says what its recipe says, and all else it could; `fld config show` reads it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fld_engine.engine.inspect.parameters import parameters, prose
from fld_engine.engine.plan.config import RunConfig, dump_config, load_config
from fld_engine.flows.cli import app
from fld_engine.schemas.errors import ConfigError


def fld(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("recipe", ["laptop", "demo", "cluster", "laptop-hub"])
def test_a_written_config_says_what_its_recipe_says(tmp_path: Path, recipe: str) -> None:
    """As it stands, and with every setting of the engine taken out of its comment: they are the defaults."""
    assert "config.yaml" in fld("init", str(tmp_path), "--recipe", recipe)
    file = tmp_path / "config.yaml"
    wanted = load_config(recipe)
    assert load_config(str(file)) == wanted
    text = file.read_text()
    said, num_settings = re.subn(r"^(\s*)#(?=\S)", r"\1", text, flags=re.MULTILINE)
    assert num_settings > 15
    file.write_text(said)
    assert dump_config(load_config(str(file))) == dump_config(wanted)
    assert max(map(len, text.splitlines())) <= 120


def test_comments_are_those_of_the_reference(tmp_path: Path) -> None:
    fld("init", str(tmp_path), "--source", str(tmp_path))
    text = (tmp_path / "config.yaml").read_text()
    comments = prose(re.sub(r"^\s*# ?|^[^#]*$", "", text, flags=re.MULTILINE))
    for row in parameters(RunConfig):
        if row.description:
            assert prose(row.description) in comments, row.name
    for key in RunConfig.model_fields:
        assert re.search(rf"^#?{key}:", text, flags=re.MULTILINE), key
    assert load_config(str(tmp_path / "config.yaml")).sources[0].url == str(tmp_path)


def test_nothing_that_is_there_is_written_over(tmp_path: Path) -> None:
    fld("init", str(tmp_path))
    before = (tmp_path / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="is there already"):
        fld("init", str(tmp_path))
    assert (tmp_path / "config.yaml").read_text() == before
    (tmp_path / "root").mkdir()
    (tmp_path / "root/root.json").write_text("{}")
    with pytest.raises(ConfigError, match="is a dataset root"):
        fld("init", str(tmp_path / "root"))


def test_a_recipe_is_shown_with_its_origins(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("extends: demo\nname: mine\nannotators: {scene-text: null}\n")
    shown = fld("config", "show", str(file), "--origin", "--set", "seed=3")
    assert f'name: "mine"  # file {file}' in shown
    assert "seed: 3  # --set" in shown
    assert "partitions.max_images: 16  # recipe demo" in shown
    assert "partitions.max_mb: 512  # recipe laptop" in shown
    assert "limits.task_retries: 2  # default" in shown
    assert "scene-text" not in shown.split("annotators.", 1)[1].split("filters.")[0]
    rows = json.loads(fld("config", "show", str(file), "--origin", "--json"))
    assert {"setting": "partitions.max_images", "value": 16, "origin": "recipe demo"} in rows
    assert fld("config", "show", str(file)) == dump_config(load_config(str(file)))


def test_what_is_neither_a_root_nor_a_recipe_is_refused() -> None:
    with pytest.raises(ConfigError, match="neither a dataset root"):
        fld("config", "show", "laptpo")
