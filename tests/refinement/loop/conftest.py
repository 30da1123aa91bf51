"""What tests of whole rounds share: one root, whose rounds are made by whichever test needs them first."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.engine.plan.config import RunConfig
from tests.refinement.shapes import write_root


@pytest.fixture(scope="package")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunConfig]:
    """A root of plain shapes, and its config."""
    folder = tmp_path_factory.mktemp("refine")
    config = write_root(folder)
    return folder / "root", config
