"""Roots that several folders of tests read, made once a session; whoever changes one takes a copy."""

from __future__ import annotations

import pytest

from fld_engine.engine.plan.config import dump_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.flows.report import make_report
from tests.browser.synthetic import synthetic_root


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    """Six images with a human box and a hostile caption each, five fake regions, spaCy's parse; its report written."""
    pipeline = synthetic_root(tmp_path_factory.mktemp("reported"))
    pipeline.store.write_bytes("config.yaml", dump_config(pipeline.config).encode())
    with Pipeline(pipeline.store, pipeline.config) as again:
        make_report(again)
    return pipeline
