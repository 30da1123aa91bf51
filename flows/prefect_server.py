"""A temporary Prefect server that cannot outlive the run it serves."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from fld_engine.engine.data.foreign import debugging
from fld_engine.flows.prefect_reachable import check_reachable
from fld_engine.schemas.errors import RunnerError

START_LIMIT_S = 120.0
"""A first start in a fresh home migrates a database, which took 10 to 16 s on two cores."""

EVENTS_LIMIT_S = 10.0
"""They take less than a second; a server that died would be waited for in vain."""


@contextmanager
def prefect_api() -> Iterator[None]:
    """Use the server that `PREFECT_API_URL` names, or a temporary one of our own.

    Prefect's own temporary server survives a driver killed with -9; ours watches its parent and ends with it.
    Raises `RunnerError` when it does not answer in time, `ConfigError` for an address that is none.
    """
    from prefect.settings import PREFECT_API_URL, PREFECT_LOGGING_TO_API_ENABLED, temporary_settings

    if given := PREFECT_API_URL.value():
        check_reachable(str(given))
        yield
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # -P: a folder or file of the working directory must not stand in for a module of ours
    command = [sys.executable, "-P", "-m", "fld_engine.flows.prefect_server", str(os.getpid()), str(port)]
    output = tempfile.TemporaryFile(prefix="fld-prefect-")  # noqa: SIM115 - closed below
    server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}/api"
    try:
        _wait_until_healthy(url, server, output)
        # nobody reads the logs of a server that ends with the run
        with temporary_settings(updates={PREFECT_API_URL: url, PREFECT_LOGGING_TO_API_ENABLED: False}):
            try:
                yield
            finally:
                _send_events()
    finally:
        server.kill()
        server.wait()
        output.close()


def _send_events() -> None:
    """Tell the server what is still to be told of the run, and end the thread that does.

    Left alone, it would go on to a server that is gone, a minute for each event, at the end of the process and in the
    next run of the same process.
    """
    from prefect.events.worker import EventsWorker

    EventsWorker.drain_all(timeout=EVENTS_LIMIT_S)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RunnerError(_ended(server.returncode, output))
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RunnerError(f"the temporary Prefect server did not answer within {START_LIMIT_S:.0f} s; set PREFECT_API_URL")


def _ended(code: int, output: IO[bytes]) -> str:
    """Why a server did not come up: the last thing that it says of an error, or all of it where that is asked for."""
    output.seek(0)
    said = output.read().decode(errors="replace").strip()
    errors = [line.strip() for line in said.splitlines() if "error" in line.lower() and line[0] != "("]
    last = said if debugging() else (errors or said.splitlines() or ["it said nothing"])[-1][:300]
    return (
        f"the temporary Prefect server ended with code {code}: {last}. Its files may be in use, or of another version: "
        "set PREFECT_HOME to a new folder, or PREFECT_API_URL to a server that runs"
    )


def _serve(parent_pid: int, port: int) -> None:
    os.environ["PREFECT_UI_ENABLED"] = "0"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    threading.Thread(target=_end_with_parent, args=(parent_pid,), daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


def _end_with_parent(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
