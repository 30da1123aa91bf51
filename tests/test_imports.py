"""Light packages stay light: looking at a root must not load a model library, Ray or Prefect."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "onnxruntime", "spacy", "ray", "prefect", "webdataset")


@pytest.mark.parametrize(
    "modules",
    [
        "fld_engine.schemas.sample, fld_engine.schemas.target_language",
        "fld_engine.engine.run.pipeline, fld_engine.engine.run.worker",
        "fld_engine.filters.region, fld_engine.filters.text",
        "fld_engine.flows.cli",
        "fld_engine.refinement.loop.settings",
    ],
)
def test_importing_loads_no_heavy_library(modules: str) -> None:
    code = f"import sys, {modules}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_building_every_annotator_loads_no_model_library() -> None:
    code = f"""
import sys
from fld_engine.engine.plan.config import load_config
from fld_engine.engine.plan.plan import make_plan
from fld_engine.engine.data.store import Store
make_plan(Store("memory://none"), load_config("laptop"), [])
print([m for m in {HEAVY!r} if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
