"""Somebody else's package adds an annotator and a filter by entry points alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from tests.waiting import PATIENCE_S

EXTENSION = Path(__file__).parents[1] / "extension"
RUN = """
import sys
from fld_engine.engine.plan.config import load_config
from tests.roots import run_road
if __name__ == "__main__":
    run_road(sys.argv[2], load_config(sys.argv[1]))
"""


@pytest.mark.long
def test_an_annotator_and_a_filter_of_another_package_are_found_and_run(tmp_path: Path) -> None:
    site = tmp_path / "site"
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--target", str(site), str(EXTENSION)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, capture_output=True, timeout=PATIENCE_S)
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, value in (("dark", 20), ("grey", 120), ("white", 250)):
        Image.fromarray(np.full((40, 50, 3), value, dtype=np.uint8)).save(photos / f"{name}.png")
    config = {
        "sources": [{"url": str(photos), "kind": "folder"}],
        "annotators": {"brightness": {}},
        "filters": {"bright-enough": {"params": {"min_score": 0.4}}},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    script = tmp_path / "run.py"
    script.write_text(RUN)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(site), str(EXTENSION.parents[1])])}
    command = [sys.executable, str(script), str(tmp_path / "config.yaml"), str(tmp_path / "root")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    manifest = json.loads((tmp_path / "root/export/manifest.json").read_text())
    assert manifest["samples"] == 2, "the dark image is dropped by the other package's filter"
    assert manifest["models"]["brightness"]["id"] == "brightness"
