"""A Ray cluster of two nodes, joined by address: both work, a GPU is shared, a cluster that is not there is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
from ray.cluster_utils import Cluster

from fld_engine.engine.plan.config import RunnerConfig
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.run.messages import Ready
from fld_engine.engine.run.pipeline import make_backend
from fld_engine.schemas.errors import RunnerError
from tests.roots import digest, fake_config, run_pipeline, write_photographs
from tests.waiting import wait_until

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1, num_gpus=1)  # Ray counts GPUs, and does not look for them
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def test_two_nodes_make_the_bytes_of_one_local_worker(cluster: Cluster, tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 9)
    run_pipeline(tmp_path / "local", fake_config(tmp_path / "photos"))
    joined = fake_config(tmp_path / "photos", runner={"kind": "ray", "ray_address": cluster.address})
    run_pipeline(tmp_path / "cluster", joined)
    assert len([n for n in ray.nodes() if n["Alive"]]) == 2
    assert digest(tmp_path / "cluster") == digest(tmp_path / "local")


def test_workers_share_a_gpu(cluster: Cluster) -> None:
    """Ray gives each its half; for a third there is no room, and a whole one more is refused at once."""
    backend = make_backend(RunnerConfig(kind="ray", ray_address=cluster.address))
    half = Resources(cpus=0.25, gpus=0.5, memory_mb=50)
    assert backend.fit([half]) == [2]
    workers = [backend.start(half) for _ in range(2)]
    ready: set[int] = set()

    def both_ready() -> bool:
        ready.update(id(worker) for worker, event in backend.poll(workers, 1.0) if isinstance(event, Ready))
        return len(ready) == 2

    wait_until(both_ready)
    assert ray.available_resources().get("GPU", 0) == 0
    for worker in workers:
        worker.kill()
    with pytest.raises(RunnerError, match="no node has that"):
        backend.fit([Resources(gpus=2)])


def test_an_address_without_a_cluster_is_an_error_and_starts_nothing() -> None:
    ray.shutdown()
    with pytest.raises(RunnerError, match="cannot join a Ray cluster"):
        make_backend(RunnerConfig(kind="ray", ray_address="127.0.0.1:1"))
    assert not ray.is_initialized()
