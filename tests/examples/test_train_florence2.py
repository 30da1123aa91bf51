"""The example trains for real: it learns, goes on where it was, and shares an epoch between processes."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.stages.export.export_builder import write_export
from tests.schemas.test_reader import photographs
from tests.waiting import PATIENCE_S

EXAMPLE = Path(__file__).parents[2] / "examples" / "train_florence2.py"
NUM_TRAIN = 12

pytestmark = pytest.mark.long(minutes=1)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    write_export(folder, photographs(NUM_TRAIN), max_samples=3)
    return folder


def train(export: Path, save: Path, *options: str, processes: int = 1) -> list[dict[str, Any]]:
    """Run the example; what each step saw."""
    keys = save.with_suffix(".keys")
    command = [sys.executable, str(EXAMPLE)]
    if processes > 1:
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
        command.append(str(EXAMPLE))
    done = subprocess.run(
        [*command, str(export), "--save", str(save), "--keys", str(keys), "--batch", "2", *options],
        capture_output=True, text=True, timeout=PATIENCE_S, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in keys.read_text().splitlines()]


def test_the_loss_falls_by_half(export: Path, tmp_path: Path) -> None:
    train(export, tmp_path / "c.pt", "--steps", "60", "--lr", "0.01")
    losses = torch.load(tmp_path / "c.pt", weights_only=True)["losses"]
    assert len(losses) == 60
    assert sum(losses[-10:]) / 10 < 0.5 * sum(losses[:3]) / 3


def test_a_run_that_stopped_in_mid_epoch_goes_on_with_the_next_sample_to_the_same_weights(
    export: Path, tmp_path: Path
) -> None:
    """Eight steps of two are an epoch of 12 samples and a third of the next."""
    whole = train(export, tmp_path / "whole.pt", "--steps", "8")
    train(export, tmp_path / "parts.pt", "--steps", "4")
    parts = train(export, tmp_path / "parts.pt", "--steps", "8")
    assert [row["keys"] for row in parts] == [row["keys"] for row in whole]
    first_epoch = [key for row in whole for key in row["keys"]][:NUM_TRAIN]
    assert len(set(first_epoch)) == NUM_TRAIN
    kept = [torch.load(tmp_path / name, weights_only=True) for name in ("whole.pt", "parts.pt")]
    assert kept[0]["losses"] == kept[1]["losses"]
    for name, weights in kept[0]["model"].items():
        assert torch.equal(weights, kept[1]["model"][name]), name


def test_two_processes_share_an_epoch_and_resume(export: Path, tmp_path: Path) -> None:
    train(export, tmp_path / "c.pt", "--steps", "2", processes=2)
    rows = train(export, tmp_path / "c.pt", "--steps", "3", processes=2)
    assert Counter(row["rank"] for row in rows) == {0: 3, 1: 3}
    seen = Counter(key for row in rows for key in row["keys"])
    assert len(seen) == NUM_TRAIN
    assert set(seen.values()) == {1}, "three steps of two samples on two processes are one epoch of twelve"


def test_tasks_that_no_sample_has_are_said_and_not_waited_for(export: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLE), str(export), "--save", str(tmp_path / "c.pt"), "--tasks", '{"<ODD>": 1}']
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 1
    assert done.stderr.endswith("part 0 of 1 has no sample with a target of --tasks {'<ODD>': 1}\n")


def test_answers_that_are_all_too_long_are_said_and_not_waited_for(tmp_path: Path) -> None:
    """A process that looked on for a shorter one would find none, and the others would wait for it."""
    copy = tmp_path / EXAMPLE.name
    copy.write_text(EXAMPLE.read_text().replace("MAX_TOKENS = 96, 512", "MAX_TOKENS = 96, 3"))
    write_export(tmp_path / "export", photographs(4))
    done = subprocess.run(
        [sys.executable, str(copy), str(tmp_path / "export"), "--save", str(tmp_path / "c.pt")],
        capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert done.returncode == 1
    assert "MAX_TOKENS=3: part 0 of 1 has no sample" in done.stderr


def test_it_imports_nothing_of_the_engine_and_is_short() -> None:
    tree = ast.parse(EXAMPLE.read_text())
    imported = {
        (name.name if isinstance(node, ast.Import) else str(node.module)).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported - set(sys.stdlib_module_names) == {"torch", "transformers", "webdataset", "reader"}
    assert len(EXAMPLE.read_text().splitlines()) <= 150
