"""The rate that a plan goes by: of this root where it has one, else the config's, and each says where it is from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config, parse_config
from fld_engine.engine.run.rates import note_rates, read_rates
from fld_engine.flows.cli import app
from fld_engine.flows.rates import rates_for
from tests.roots import fake_config, run_pipeline, write_photographs

TREE: dict[str, Any] = {
    "annotators": {
        "measured": {"use": "fake", "images_per_s": 30},
        "stated": {"use": "fake", "images_per_s": 5},
        "unknown": {"use": "fake"},
    }
}


def config_with(**params: Any) -> RunConfig:
    """The three annotators, the first with other parameters."""
    annotators = {**TREE["annotators"], "measured": {**TREE["annotators"]["measured"], "params": params}}
    return parse_config({"annotators": annotators}, where="test")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "root"))


def test_what_this_root_has_measured_goes_before_what_the_config_says(store: Store) -> None:
    """Two runs of 10 images in 4 s and 30 in 6 s are 4 images a second, and 10 s more are not of the same settings."""
    for images, seconds in ((10, 4.0), (30, 6.0)):
        note_rates(store, config_with(), {"measured": (images, seconds)})
    note_rates(store, config_with(regions=9), {"measured": (5, 10.0)})
    rates = rates_for(store, config_with(), {}, on_paper=False)
    assert rates.keys() == {"measured", "stated"}, "nobody knows the third one's"
    assert (rates["measured"].images_per_s, rates["measured"].by) == (4.0, "measured")
    assert "measured in this root (40 images" in rates["measured"].said
    assert (rates["stated"].images_per_s, rates["stated"].said) == (5.0, "the config's estimate")
    others = rates_for(store, config_with(regions=9), {}, on_paper=False)
    assert others["measured"].images_per_s == 0.5


def test_nodes_on_paper_are_estimated_by_what_is_stated_for_them(store: Store) -> None:
    note_rates(store, config_with(), {"measured": (10, 4.0), "unknown": (8, 1.0)})
    rates = rates_for(store, config_with(), {}, on_paper=True)
    assert (rates["measured"].images_per_s, rates["measured"].by) == (30.0, "stated")
    assert (rates["unknown"].images_per_s, rates["unknown"].by) == (8.0, "measured"), "better than nothing"


def test_with_other_settings_a_measured_rate_is_better_than_none_alone(store: Store) -> None:
    note_rates(store, config_with(regions=9), {"measured": (10, 4.0), "unknown": (8, 1.0)})
    unknown = parse_config({"annotators": {"unknown": {"use": "fake", "params": {"regions": 1}}}}, where="test")
    assert "with other settings" in rates_for(store, unknown, {}, on_paper=False)["unknown"].said
    assert rates_for(store, config_with(), {}, on_paper=False)["measured"].by == "stated"
    now = rates_for(store, config_with(), {"measured": 7.0}, on_paper=False)["measured"]
    assert (now.images_per_s, now.by) == (7.0, "calibrated")


def test_a_root_of_before_is_known_by_its_attempts(store: Store) -> None:
    """Roots of 0.1.0 have no rates.json; their run.json has a rate by annotator."""
    summary = {
        "root": "r", "runner": "local", "ingested": 1, "models_loaded": 1, "images_read": 1, "outputs_written": 1,
        "num_samples": 1, "num_shards": 1, "problems": 0, "seconds": {}, "images_per_s": {"unknown": 2.5},
    }  # fmt: skip
    attempt = {"started": 0, "ended": 86400, "host": "then", "pid": 1, "python": "3.11", "summary": summary}
    store.write_bytes("run.json", json.dumps([attempt]).encode())
    rate = rates_for(store, config_with(), {}, on_paper=False)["unknown"]
    assert (rate.images_per_s, rate.said) == (2.5, "measured in this root (runner local on then, until 1970-01-02)")


def test_a_run_is_measured_and_the_plan_of_the_rest_says_so(tmp_path: Path) -> None:
    """Each image takes an annotator 0.02 s: a plan of 3,600 more says at least 72 s, 0.02 hours."""
    write_photographs(tmp_path / "photos", 4)
    config = fake_config(tmp_path / "photos")
    slow = config.annotators["first"].model_copy(update={"params": {"regions": 3, "seconds": 0.02}})
    config = config.model_copy(update={"annotators": {**config.annotators, "first": slow}})
    pipeline = run_pipeline(tmp_path / "root", config)
    pipeline.store.write_bytes("config.yaml", dump_config(config).encode())
    (measured,) = read_rates(pipeline.store).annotators["first"]
    assert (measured.images, measured.runner) == (4, "local")
    run_pipeline(tmp_path / "root", config)
    assert len(read_rates(pipeline.store).annotators["first"]) == 1, "a run without work measures nothing"

    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    arguments = ["plan", str(recipe), "--root", str(tmp_path / "root"), "--images", "3600"]
    told = CliRunner().invoke(app, arguments, env={"COLUMNS": "240"})
    assert told.exit_code == 0, told.output
    assert "measured in this root (4 images, runner local" in told.output
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)
    assert found["rates"]["first"]["by"] == "measured"
    assert found["rates"]["first"]["images_per_s"] <= 50
    assert found["lanes"][0]["workers"] == 1, "runner local has one worker, unless more are asked for"
    assert found["lanes"][0]["hours"] >= 0.02
