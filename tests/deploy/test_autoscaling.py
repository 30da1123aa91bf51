"""A run asks for no nodes; the script that does it before a run has them started, waits, and lets them go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.ray_head import RAY, Head, free_ports, ray_head
from tests.waiting import PATIENCE_S, wait_until

pytestmark = pytest.mark.deploy

WORKERS = Path(__file__).parents[2] / "deploy/kuberay/workers.py"


def imitation(control_store: str) -> dict[str, object]:
    """Settings of Ray's own imitation of a cloud, whose machines are processes here."""
    lists = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands", "setup_commands")
    commands = [f"{kind}_{what}_commands" for kind in ("head", "worker") for what in ("setup", "start_ray")]
    worker = {"resources": {"CPU": 1, "GPU": 1, "object_store_memory": 100_000_000}, "node_config": {}}
    return {
        "cluster_name": "imitation",
        "max_workers": 2,
        "provider": {"type": "fake_multinode", "gcs_address": control_store},
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": {"resources": {}, "node_config": {}, "max_workers": 0},
            "worker": {**worker, "min_workers": 0, "max_workers": 2},
        },
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": 0.1,
        "auth": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{key: [] for key in (*lists, *commands)},
    }


def workers(head: Head, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    command = [sys.executable, str(WORKERS), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S * 2, check=False)


def test_workers_come_and_go(tmp_path: Path) -> None:
    ports = free_ports(3)
    settings = tmp_path / "autoscaling.json"
    settings.write_text(json.dumps(imitation(f"127.0.0.1:{ports[0]}")))
    options = ["--num-cpus=0", f"--autoscaling-config={settings}"]
    variables = {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1"}
    with ray_head(tmp_path / "head.log", *options, ports=ports, **variables) as head:
        asked = workers(head, "1", "--wait-s", str(PATIENCE_S))
        assert (asked.returncode, asked.stdout) == (0, "1 workers are there\n"), asked.stderr
        assert workers(head, "0").returncode == 0
        wait_until(lambda: "1 worker" not in status(head))


def status(head: Head) -> str:
    """What the autoscaler says of nodes, as `ray status` shows it."""
    environment = {**head.environment, "RAY_ADDRESS": head.address}
    shown = subprocess.run(
        [RAY, "status"], env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    return shown.stdout
