"""A Ray head of a test's own, with a token; it and what it started end with the test, and no other cluster does."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import PATIENCE_S, wait_until

RAY = Path(sys.executable).parent / "ray"


@dataclass(frozen=True)
class Head:
    """Where its control store and its dashboard listen, and the variables that reach both."""

    address: str
    dashboard: str
    environment: dict[str, str]


def free_ports(num: int) -> list[int]:
    """Ports that nobody listens at, all different."""
    with ExitStack() as probes:
        opened = [probes.enter_context(socket.socket()) for _ in range(num)]
        for probe in opened:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in opened]


@contextmanager
def ray_head(log: Path, *options: str, ports: list[int], **variables: str) -> Iterator[Head]:
    """`ray start --head` with more options, until its dashboard listens. `ports`: control store, dashboard, clients."""
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), **variables}
    environment["PATH"] = f"{RAY.parent}:{environment['PATH']}"  # jobs find `fld`, as on a node with its environment
    folder = Path("/tmp") / f"fld-test-{ports[0]}"  # a socket's path has 107 bytes, which pytest's folders exceed
    command = [str(RAY), "start", "--head", "--block", "--disable-usage-stats", "--node-ip-address=127.0.0.1"]
    command += [f"--port={ports[0]}", f"--dashboard-port={ports[1]}", f"--ray-client-server-port={ports[2]}"]
    command += [f"--temp-dir={folder}", "--object-store-memory=100000000", *options]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
    try:
        wait_until(lambda: _listens(ports[1]), driver=process)
        yield Head(f"127.0.0.1:{ports[0]}", f"http://127.0.0.1:{ports[1]}", environment)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
