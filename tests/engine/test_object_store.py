"""The whole road on an object store: a real S3 protocol, spoken by moto's server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from engine.export.verify import verify
from engine.pipeline import Pipeline
from flows.report import make_report
from tests.roots import digest, fake_config, run_road, write_photographs

PATIENT = {"batch_timeout_s": 60}
"""The store answers from a thread of this process: slowness is no sign of a lost worker."""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """One server for all tests: s3fs remembers the address that it found first."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        environment.setenv("AWS_ACCESS_KEY_ID", "test")
        environment.setenv("AWS_SECRET_ACCESS_KEY", "test")
        environment.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="dataset")
        yield "s3://dataset"
    server.stop()


def test_a_report_on_s3_is_that_on_disk(bucket: str, tmp_path: Path) -> None:
    """Pages and tables; they differ in the root's address alone."""
    write_photographs(tmp_path / "photos", 9)
    config = fake_config(tmp_path / "photos", limits=PATIENT)
    pages = {}
    for root in (str(tmp_path / "root"), f"{bucket}/reported"):
        finished = run_road(root, config)
        with Pipeline(finished.store, finished.config) as pipeline:
            paths = make_report(pipeline)
        store = finished.store
        written = [*paths, "report/data/merged-counts.parquet", "report/data/thresholds.csv"]
        pages[root] = [store.read_bytes(path).replace(store.url.encode(), b"ROOT") for path in written]
    here, there = pages.values()
    assert here == there


def test_a_root_on_s3_is_that_on_disk(bucket: str, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 9)
    config = fake_config(tmp_path / "photos", limits=PATIENT)
    run_road(tmp_path / "root", config)
    run_road(f"{bucket}/root", config)
    assert digest(f"{bucket}/root") == digest(tmp_path / "root")
    again = run_road(f"{bucket}/root", config)
    assert again.work.tasks_done == 0
    assert not verify(f"{bucket}/root/export").problems
