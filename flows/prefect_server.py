"""A temporary Prefect server that cannot outlive the run it serves."""

from __future__ import annotations

import asyncio
import fcntl
import logging
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
from fld_engine.engine.run.interrupt import SIGNALS, interruptible, interrupts, unheard
from fld_engine.engine.run.logs import configure_logging
from fld_engine.flows.prefect_reachable import check_reachable
from fld_engine.flows.progress import waiting_for
from fld_engine.flows.surroundings import prepare
from fld_engine.schemas.errors import RunnerError

START_LIMIT_S = 300.0
"""A first start in a fresh home makes a database: 10 to 16 s on two cores, 75 s where ten other processes are busy.
One that dies is not waited for."""

EVENTS_LIMIT_S = 10.0
"""They take less than a second; a server that died would be waited for in vain."""


@contextmanager
def prefect_api() -> Iterator[None]:
    """Use the server that `PREFECT_API_URL` names, or a temporary one of our own.

    Prefect's own temporary server survives a driver killed with -9; ours watches its parent and ends with it. It hears
    no signal that the driver hears, too: the driver has still to tell it how the run ended. Raises `Interrupted` for a
    run that a signal ended, `RunnerError` when a server does not answer in time, `ConfigError` for an address of none.
    """
    prepare()
    with waiting_for("loading Prefect"):
        import prefect.flows  # noqa: F401 - what whoever calls needs next
        from prefect.settings import PREFECT_API_URL, temporary_settings

    if given := PREFECT_API_URL.value():
        with waiting_for(f"asking for Prefect at {given}"):
            check_reachable(str(given))
        with interruptible():
            yield
        return
    with interrupts().at("while Prefect starts"):
        server, url, output = _start()
    try:
        with waiting_for(f"starting Prefect's temporary server at {url}"), interrupts().at("while Prefect starts"):
            _wait_until_healthy(url, server, output)
        with temporary_settings(updates={PREFECT_API_URL: url}):
            try:
                with interruptible():
                    yield
            finally:
                _send_events()
    finally:
        server.kill()
        server.wait()
        output.close()


def _start() -> tuple[subprocess.Popen[bytes], str, IO[bytes]]:
    """Start a server; returns it, the address of its API and the file of what it says."""
    output = tempfile.TemporaryFile(prefix="fld-prefect-")  # noqa: SIM115 - closed by the caller
    with socket.create_server(("127.0.0.1", 0)) as listening:  # handed over: a free port may be taken before it is used
        # -P: a folder or file of the working directory must not stand in for a module of ours
        command = [sys.executable, "-P", "-m", "fld_engine.flows.prefect_server", str(os.getpid())]
        with unheard(*SIGNALS):  # such as a stop of a whole group of processes, by a scheduler
            server = subprocess.Popen(
                [*command, str(listening.fileno())],
                pass_fds=[listening.fileno()],
                start_new_session=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return server, f"http://127.0.0.1:{listening.getsockname()[1]}/api", output


def _send_events() -> None:
    """Tell the server what is still to be told of the run, its log too, and end the threads that do.

    Left alone, they would go on to a server that is gone, a minute for each event, at the end of the process and in the
    next run of the same process.
    """
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=EVENTS_LIMIT_S)
    APILogWorker.drain_all(timeout=EVENTS_LIMIT_S)


def _wait_until_healthy(url: str, server: subprocess.Popen[bytes], output: IO[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RunnerError(_ended(server.returncode, output))
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=10):
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


def _serve(parent_pid: int, listening: socket.socket) -> None:
    os.environ["PREFECT_UI_ENABLED"] = "0"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["PREFECT_API_BLOCKS_REGISTER_ON_START"] = "false"  # nothing uses one; two servers that do both complain
    threading.Thread(target=_end_with_parent, args=(parent_pid,), daemon=True).start()
    configure_logging()
    import uvicorn
    from prefect.server.api.server import create_app

    _migrate()
    app = create_app(ephemeral=True, final=True)
    for name in ("uvicorn", "fastapi"):  # what they say goes where all that is said goes, in the same lines
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    config = uvicorn.Config(app, log_config=None, log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[listening])


def _migrate() -> None:
    """Bring the database of the home up to date, one process at a time.

    Of two that make the same tables at the same moment, such as the first two runs on a machine, one fails.
    """
    from prefect.server.database import provide_database_interface
    from prefect.settings import get_current_settings

    home = get_current_settings().home
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "fld-migrate.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        asyncio.run(provide_database_interface().create_db())


def _end_with_parent(parent_pid: int) -> None:
    while os.getppid() == parent_pid:
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
