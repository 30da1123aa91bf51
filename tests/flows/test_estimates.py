"""Rates that are measured in a short run, or stated in the config."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fld_engine.engine.plan.config import load_config, parse_config
from fld_engine.flows.cli import app
from fld_engine.flows.estimates import measure
from tests.roots import write_photographs


def test_a_calibration_measures_each_annotator_on_the_first_images(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs", 5)
    annotators = {
        "slow": {"use": "fake", "params": {"seconds": 0.2}},
        "slower": {"use": "fake", "params": {"seconds": 0.4}},
    }
    config = parse_config({"sources": [{"url": str(tmp_path / "photographs")}], "annotators": annotators}, where="test")
    rates = measure(config, 2).rates
    assert rates.keys() == {"slow", "slower"}
    assert rates["slow"] <= 5.0, "0.2 s of work for an image are at most 5 images a second"
    assert rates["slower"] <= 2.5
    assert rates["slower"] < rates["slow"]


def test_a_plan_on_paper_prints_hours_without_a_root(tmp_path: Path) -> None:
    recipe = tmp_path / "one.yaml"
    recipe.write_text("annotators: {detector: {use: fake, images_per_s: 100, resources: {cpus: 1, gpus: 1}}}\n")
    arguments = ["plan", str(recipe), "--root", str(tmp_path / "root"), "--images", "3600000"]
    told = CliRunner().invoke(app, [*arguments, "--nodes", "8", "--node-gpus", "8"])
    assert told.exit_code == 0, told.output
    assert "64" in told.output, "64 GPUs take one worker each"
    assert "0.156" in told.output, "3.6 M images at 100 a second are 10 worker hours, 10 / 64 h on all"
    assert not (tmp_path / "root").exists(), "a plan touches nothing"


REFINE = {
    "student": {"preset": "tiny"},
    "training": {"num_steps": 900, "batch_images": 4},
    "trainer": {"num_workers": 2},
}


def test_a_plan_tells_what_training_takes(tmp_path: Path) -> None:
    """Two students of 900 steps, each step 12 samples on two workers that learn from 24 a second: 0.25 s, 0.125 h."""
    trainer = {**REFINE["trainer"], "samples_per_s": 24}
    recipe = tmp_path / "one.yaml"
    recipe.write_text(json.dumps({"annotators": {"a": {"use": "fake"}}, "refine": {**REFINE, "trainer": trainer}}))
    arguments = ["plan", str(recipe), "--root", str(tmp_path / "root")]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert all(words in told.output for words in ("AdamW", "900 steps", "0.25", "0.125"))
    (training,) = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)["training"]
    assert (training["samples_per_step"], training["hours"]) == (12, pytest.approx(0.125))
    unknown = CliRunner().invoke(app, [*arguments, "--set", "refine.trainer.samples_per_s=null"])
    assert "--calibrate" in unknown.output


def test_a_plan_counts_the_two_trainings_of_a_specialist(tmp_path: Path) -> None:
    """One student taught like those of a round, 0.0625 h; then 300 steps of 24 samples at 48 a second: 150 s."""
    refine = {
        **REFINE,
        "trainer": {**REFINE["trainer"], "samples_per_s": 24},
        "sparse": {"training": {"num_steps": 300, "batch_images": 8}},
    }
    recipe = tmp_path / "one.yaml"
    recipe.write_text(json.dumps({"annotators": {"a": {"use": "fake"}}, "refine": refine}))
    arguments = ["plan", str(recipe), "--root", str(tmp_path / "root")]
    told = CliRunner().invoke(app, arguments)
    assert told.exit_code == 0, told.output
    assert "300 steps" in " ".join(told.output.split())
    trainings = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).output)["training"]
    each, general, specialist = trainings
    assert [training["num_students"] for training in trainings] == [2, 1, 1]
    assert "general" in general["what"]
    assert "specialist" in specialist["what"]
    assert general["hours"] == pytest.approx(each["hours"] / 2)
    assert specialist["hours"] == pytest.approx(150 / 3600)
    assert general["memory"] == each["memory"]
    twice = specialist["memory"]["activations_mb"] / each["memory"]["activations_mb"]
    assert twice == pytest.approx(2), "twice the images of a batch"


def test_a_calibration_trains_on_the_labels_of_the_first_images(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photographs", 3)
    sources = [{"url": str(tmp_path / "photographs")}]
    tree = {"sources": sources, "annotators": {"detector": {"use": "fake"}}, "refine": REFINE}
    rate = measure(parse_config(tree, where="test"), 3).samples_per_s
    assert rate is not None
    assert rate > 0


def test_the_cluster_recipe_fits_eight_nodes_of_eight_gpus(tmp_path: Path) -> None:
    """With a rate for every annotator there are hours for all, and none is left out."""
    names = load_config("cluster").annotators
    rates = [argument for name in names for argument in ("--set", f"annotators.{name}.images_per_s=10")]
    nodes = ["--nodes", "8", "--node-cpus", "64", "--node-gpus", "8", "--node-memory-gb", "512"]
    arguments = ["plan", "cluster", "--root", str(tmp_path / "root"), "--images", "126000000", *nodes, *rates]
    told = CliRunner().invoke(app, arguments, env={"COLUMNS": "240"})
    assert told.exit_code == 0, told.output
    assert all(name in told.output for name in names)
    assert "?" not in told.output.split("estimate")[1], "no rate is unknown"


@pytest.mark.parametrize("recipe", ["demo", "laptop", "laptop-hub"])
def test_recipes_of_a_laptop_fit_two_cores_and_twelve_gigabytes(recipe: str, tmp_path: Path) -> None:
    nodes = ["--nodes", "1", "--node-cpus", "2", "--node-memory-gb", "12"]
    arguments = ["plan", recipe, "--root", str(tmp_path / "root"), "--images", "100", *nodes]
    told = CliRunner().invoke(app, arguments, env={"COLUMNS": "240"})
    assert told.exit_code == 0, told.output
