"""A head of a Ray cluster that is gone, or that does not take our token, is said in time, by us and not by Ray."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from fld_engine.engine.run.ray_head import Head, check_reachable, check_token, token_cure
from fld_engine.schemas.errors import RunnerError
from tests.waiting import PATIENCE_S, wait_until

VARIABLES = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_a_head_that_listens_no_more_ends_the_run_once_that_has_lasted() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        head = Head(address, pace_s=0.0, lost_after_s=0.5)
        head.check()
    head.check()  # a short absence, such as of a head that is started again, is none
    assert not head.lost

    def says() -> str:
        try:
            head.check()
        except RunnerError as error:
            return str(error)
        return ""

    told = wait_until(says)
    assert f"the head of the Ray cluster at {address} has not answered" in told
    assert "run the same command" in told
    assert head.lost, "nobody asks it to end its actors any more"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "RAY_AUTH_MODE is not set here"),
        ({"RAY_AUTH_MODE": "disabled"}, "RAY_AUTH_MODE is disabled here"),
        ({"RAY_AUTH_MODE": "token"}, "no token is given here"),
        ({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "file"}, "its token is another one"),
    ],
)
def test_what_is_missing_of_a_token_is_named(given: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert token_cure().startswith(f"{says}. Set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN")


@pytest.fixture
def guarded_head(tmp_path: Path) -> Iterator[str]:
    """The address of a head with token authentication, of a cluster without any other node."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    session = Path("/tmp") / f"fld-ray-{os.getpid()}-{port}"  # Ray's sockets want a short path
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}", "--num-cpus=1",
        "--include-dashboard=false", f"--temp-dir={session}", "--disable-usage-stats",
    ]  # fmt: skip
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a-secret-of-the-cluster"}
    started = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    address = f"127.0.0.1:{port}"

    def listens() -> bool:
        try:
            check_reachable(address)
        except OSError:
            return False
        return True

    try:
        wait_until(listens, driver=started)
        yield address
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        for process in psutil.process_iter(["cmdline"]):
            if str(session) in " ".join(process.info["cmdline"] or ()):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        shutil.rmtree(session, ignore_errors=True)


@pytest.mark.deploy
def test_a_cluster_that_wants_a_token_lets_in_who_has_it(guarded_head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RunnerError, match="does not accept this driver: RAY_AUTH_MODE is not set here"):
        check_token(guarded_head)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    with pytest.raises(RunnerError, match="its token is another one"):
        check_token(guarded_head)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "a-secret-of-the-cluster")
    check_token(guarded_head)


@pytest.mark.parametrize("slow_starts", [1, 3])
def test_a_machine_that_is_too_busy_for_ray_is_tried_again(
    slow_starts: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Ray waits 30 s for a node of its own, and leaves the half that has started by then."""
    from fld_engine.engine.run import ray as ray_runner

    begun: list[subprocess.Popen[bytes]] = []

    def start(**_: Any) -> None:
        begun.append(subprocess.Popen(["sleep", "600"]))
        if len(begun) <= slow_starts:
            raise Exception("The current node timed out during startup. This could happen because")

    monkeypatch.setattr(ray_runner.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray_runner.ray, "init", start)
    context = SimpleNamespace(gcs_address="127.0.0.1:1")
    monkeypatch.setattr(ray_runner.ray, "get_runtime_context", lambda: context)
    try:
        if slow_starts < ray_runner.START_TRIES:
            ray_runner.RayBackend()
            assert "it is started again" in caplog.text
        else:
            with pytest.raises(RunnerError, match="too busy"):
                ray_runner.RayBackend()
        ended = [one.wait(PATIENCE_S) for one in begun[:slow_starts]]
        assert set(ended) == {-signal.SIGKILL}
        assert [one.poll() for one in begun[slow_starts:]] == [None] * (len(begun) - slow_starts)
    finally:
        for one in begun:
            one.kill()
            one.wait()
