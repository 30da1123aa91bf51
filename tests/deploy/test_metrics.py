"""Every panel of the dashboard has something to draw: a real Prometheus scrapes a real run, local and on Ray."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.commands import FLD
from tests.dashboard import SERIES, expressions
from tests.roots import fake_config, write_photographs
from tests.waiting import PATIENCE_S, wait_until

pytestmark = [
    pytest.mark.deploy,
    pytest.mark.skipif(
        not shutil.which("prometheus"), reason="prometheus is not installed: apt-get install prometheus"
    ),
]

RAY = [sys.executable, "-m", "ray.scripts.scripts"]
NEVER_COUNTED = {"fld_store_requests_total", "fld_questions_total"}
"""There is neither an object store nor a chat endpoint here; Ray knows no counter that stands at nothing."""


def free_ports(num: int) -> list[int]:
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(num)]
        for probe in sockets:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in sockets]


@contextmanager
def served(command: list[str], log: Path, environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


class Prometheus:
    """One that scrapes a port of this machine every second."""

    def __init__(self, port: int, scraped: int, folder: Path) -> None:
        config = folder / "prometheus.yml"
        jobs = [{"job_name": "fld", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}]
        config.write_text(yaml.safe_dump({"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}))
        self.url = f"http://127.0.0.1:{port}"
        self.command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
        self.command += [f"--web.listen-address=127.0.0.1:{port}"]

    def is_up(self) -> bool:
        try:
            return urllib.request.urlopen(f"{self.url}/-/ready", timeout=5).status == 200
        except OSError:
            return False

    def history(self, expression: str, since: float) -> list[dict[str, Any]]:
        """Series of an expression, with a value for every second since then that it had one."""
        times = {"start": since, "end": time.time(), "step": 1}
        query = urllib.parse.urlencode({"query": expression, **times})
        with urllib.request.urlopen(f"{self.url}/api/v1/query_range?{query}", timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
        return found

    def last(self, expression: str, since: float) -> dict[tuple[str, ...], float]:
        """The last values that it had, by the values of its labels in the order of their names."""
        return {
            tuple(series["metric"][name] for name in sorted(series["metric"])): float(series["values"][-1][1])
            for series in self.history(expression, since)
        }


def write_recipe(folder: Path, gpus: float) -> Path:
    """Images of which a specialist fails on one, and is killed by another; a file and a box are refused."""
    ids = write_photographs(folder / "photos", 24)
    (folder / "photos/broken.jpg").write_bytes(b"no picture")
    labels = {
        "images": [{"id": 1, "file_name": "photo-0-003.jpg", "width": 96, "height": 72}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [500, 500, 20, 20]}],
        "categories": [{"id": 1, "name": "dog"}],
    }
    (folder / "labels.json").write_text(json.dumps(labels))
    fake = {"use": "fake", "batch_size": 3, "resources": {"cpus": 1, "gpus": gpus, "memory_mb": 100}}
    troubled = {"regions": 3, "seconds": 0.2, "raise_on": [ids[5]], "crash_on": [ids[9]]}
    config = fake_config(
        folder / "photos",
        sources=[
            {"url": str(folder / "photos"), "name": "photos", "kind": "folder", "class_folders": False},
            {"url": str(folder / "labels.json"), "name": "labels", "images_url": str(folder / "photos")},
        ],
        annotators={"first": {**fake, "params": troubled}},
        limits={"max_failed_share": 1, "max_quarantined_share": 1, "max_rejected_share": 1},
    )
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(config.model_dump(mode="json", exclude_defaults=True)))
    return path


def all_panels_draw(
    prometheus: Prometheus,
    folder: Path,
    options: list[str],
    environment: Mapping[str, str],
    empty: set[str] = frozenset(),
) -> None:
    began = time.time()
    gpus = 0.5 if "ray" in options else 0.0
    root = folder / "root"
    run = [*FLD, "run", str(write_recipe(folder, gpus)), "--root", str(root), *options]
    done = subprocess.run(run, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    status = json.loads(subprocess.run([*FLD, "status", "--root", str(root), "--json"], capture_output=True).stdout)
    counts = {
        (name, state): number for name, step in status["annotated"].items() for state, number in step.items() if number
    }
    assert {("first", "failed"), ("first", "done"), ("second", "done")} <= counts.keys()
    seen = 'sum by (specialist, status) ({__name__=~"(ray_)?fld_images_total"}) > 0'
    wait_until(lambda: prometheus.last(seen, began) == counts)  # an agent of Ray tells a little later
    assert prometheus.last('max by (reason) ({__name__=~"(ray_)?fld_quarantined"})', began) == {("not_an_image",): 1}
    without = [
        expression
        for expression in expressions(root=str(root), interval="10s")
        if not set(SERIES.findall(expression)) & empty and not prometheus.history(expression, began)
    ]
    assert not without, "panels that have nothing to draw"
    if gpus:
        assert sum(prometheus.last('{__name__=~"(ray_)?fld_gpu_seconds_total"}', began).values()) > 0


def names_on(head: Head, kind: str) -> set[str]:
    """What Ray's dashboard lists."""
    address = f"http://127.0.0.1:{head.dashboard}/api/v0/{kind}?limit=5000"
    token = head.environment["RAY_AUTH_TOKEN"]
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return {one["name"] for one in json.load(answer)["data"]["result"]["result"]}


def test_a_local_run(tmp_path: Path) -> None:
    port, scraped = free_ports(2)
    prometheus = Prometheus(port, scraped, tmp_path)
    with served(prometheus.command, tmp_path / "prometheus.log"):
        wait_until(prometheus.is_up)
        all_panels_draw(prometheus, tmp_path, ["--metrics-port", str(scraped)], os.environ)


@dataclass(frozen=True)
class Head:
    """A Ray head's ports, and the variables that reach it."""

    gcs: int
    scraped: int
    dashboard: int
    environment: Mapping[str, str]


@contextmanager
def ray_head(log: Path) -> Iterator[Head]:
    gcs, scraped, dashboard, client = free_ports(4)
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    folder = Path("/tmp") / f"fld-test-{gcs}"  # a socket's path has 107 bytes, which pytest's folders exceed
    command = [*RAY, "start", "--head", "--block", f"--port={gcs}", f"--dashboard-port={dashboard}", "--num-cpus=2"]
    command += ["--num-gpus=1", f"--metrics-export-port={scraped}", f"--ray-client-server-port={client}"]
    command += [f"--temp-dir={folder}", "--node-ip-address=127.0.0.1", "--object-store-memory=200000000"]
    with served(command, log, environment):
        try:
            wait_until(lambda: b"Ray runtime started" in log.read_bytes())
            yield Head(gcs, scraped, dashboard, environment)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def test_a_run_on_a_ray_cluster(tmp_path: Path) -> None:
    if not find_spec("opencensus"):
        pytest.skip("ray[default] is not installed: pip install 'fld-engine[cluster]'")
    (port,) = free_ports(1)
    with ray_head(tmp_path / "head.log") as head:
        prometheus = Prometheus(port, head.scraped, tmp_path)
        with served(prometheus.command, tmp_path / "prometheus.log"):
            wait_until(prometheus.is_up)
            options = ["--runner", "ray", "--ray-address", f"127.0.0.1:{head.gcs}"]
            all_panels_draw(prometheus, tmp_path, options, head.environment, empty=NEVER_COUNTED)
            actors = names_on(head, "actors")
            assert {"first", "scan"} <= {name.rsplit(" ", 1)[0] for name in actors}, actors
            tasks = names_on(head, "tasks")
            assert "annotate p000003 first" in tasks, "by stage, partition and specialist"
