"""The whole pipeline on an object store: a real S3 protocol, spoken by moto's server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.verify import verify
from fld_engine.flows.report import make_report
from tests.object_store import served_bucket
from tests.roots import digest, fake_config, run_pipeline, write_photographs

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    with served_bucket() as url:
        yield url


def test_a_report_on_s3_is_that_on_disk(bucket: str, tmp_path: Path) -> None:
    """Pages and tables; they differ in the root's address alone."""
    write_photographs(tmp_path / "photos", 9)
    config = fake_config(tmp_path / "photos")
    pages = {}
    for root in (str(tmp_path / "root"), f"{bucket}/reported"):
        finished = run_pipeline(root, config)
        with Pipeline(finished.store, finished.config) as pipeline:
            paths = make_report(pipeline)
        store = finished.store
        written = [*paths, "report/data/merged-counts.parquet", "report/data/thresholds.csv"]
        pages[root] = [store.read_bytes(path).replace(store.url.encode(), b"ROOT") for path in written]
    here, there = pages.values()
    assert here == there


def test_a_root_on_s3_is_that_on_disk(bucket: str, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 9)
    config = fake_config(tmp_path / "photos")
    run_pipeline(tmp_path / "root", config)
    run_pipeline(f"{bucket}/root", config)
    assert digest(f"{bucket}/root") == digest(tmp_path / "root")
    again = run_pipeline(f"{bucket}/root", config)
    assert again.work.tasks_done == 0
    assert not verify(f"{bucket}/root/export").problems
