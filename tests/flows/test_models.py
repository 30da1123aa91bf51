"""`fld models` as a user meets it: checkpoints of a recipe fetched ahead, and listed with size and licence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fld_engine.annotators.checkpoints.checkpoint import Checkpoint
from fld_engine.flows.cli import app
from tests.annotators.checkpoints.hub_cases import saved


def fld(*arguments: str) -> str:
    told = CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})
    assert told.exit_code == 0, told.output
    return told.output


def test_checkpoints_of_a_recipe_are_pulled_and_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("huggingface_hub.constants", "huggingface_hub.utils._cache_manager"):
        monkeypatch.setattr(f"{name}.HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    monkeypatch.setenv("FLD_CACHE", str(tmp_path / "cache"))
    folder, root = saved(tmp_path / "tiny-detr"), tmp_path / "models"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"annotators: {{detector: {{use: object-detection, params: {{checkpoint: {folder}}}}}, parser: {{use: fake}}}}"
    )
    assert "tiny-detr" not in fld("models", "list")
    assert f"ready in {folder}" in fld("models", "pull", str(recipe))
    assert f"published under {root}" in fld("models", "pull", str(recipe), "--set", f"models_root={root}")

    pinned = Checkpoint(str(folder)).pinned(models_root=str(root), strict=True)
    shutil.rmtree(folder)  # as on a node
    size = sum(path.stat().st_size for path in pinned.folder().iterdir() if path.name != "SHA256SUMS")
    (row,) = [line for line in fld("models", "list").splitlines() if "tiny-detr" in line]
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells == ["tiny-detr", pinned.sha256[:12], "yes", f"{size / 1e6:.1f}", "apache-2.0"]


def test_a_recipe_whose_checkpoint_is_not_there_says_so(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("annotators: {detector: {use: object-detection, params: {checkpoint: ./nowhere}}}")
    told = CliRunner().invoke(app, ["models", "pull", str(recipe)])
    assert told.exit_code == 1
    assert "nowhere does not exist" in str(told.exception)
