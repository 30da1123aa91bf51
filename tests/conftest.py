"""What all tests share: nothing of the user's is touched, no cluster is left, and roots that several folders read."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from fld_engine.engine.data import transport
from fld_engine.engine.plan.config import dump_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.flows.report import make_report
from tests.browser.synthetic import synthetic_root
from tests.side_by_side import ByFile, longest_first

hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # an example may take long because the machine does something else
hypothesis.settings.load_profile("busy")


def pytest_configure(config: pytest.Config) -> None:
    """Each process has a Prefect home of its own: runs side by side would wait for one database, the user's."""
    home = Path(tempfile.mkdtemp(prefix="fld-tests-prefect-"))
    os.environ["PREFECT_HOME"] = str(home)
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = longest_first(items)


@pytest.fixture(autouse=True, scope="module")
def _no_cluster_is_left() -> Iterator[None]:
    """Whichever test of a file needs Ray first starts it; left alone, it would work on beside all that comes later."""
    yield
    if ray := sys.modules.get("ray"):
        ray.shutdown()


@pytest.fixture(autouse=True)
def _stores_are_asked_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as ever, without the waits between; workers in processes of their own wait as they do for users."""
    monkeypatch.setattr(transport, "WAITS_S", (0.0,) * len(transport.WAITS_S))


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Six images with a human box and a hostile caption each, five fake regions, spaCy's parse; its report written."""
    pipeline = synthetic_root(tmp_path_factory.mktemp("reported"))
    pipeline.store.write_bytes("config.yaml", dump_config(pipeline.config).encode())
    with Pipeline(pipeline.store, pipeline.config) as again:
        make_report(again)
    return pipeline
