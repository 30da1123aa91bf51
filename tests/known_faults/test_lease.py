"""One root, one driver: whom the lease keeps out, whom it lets in, and what a driver that lost it may still do."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from typer.testing import CliRunner

from fld_engine.engine.data import lease as lease_module
from fld_engine.engine.data.conditional import root_lock
from fld_engine.engine.data.lease import LEASE_FILE, Lease, LeaseHolder
from fld_engine.engine.data.records import FileRecord
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import dump_config
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.flows.cli import app
from fld_engine.schemas.errors import LeaseError
from tests.commands import FLD
from tests.roots import fake_config, opened, run_pipeline, write_photographs
from tests.waiting import wait_until

RENEW_S = 0.05


@pytest.fixture
def renews_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A term of seconds, so that a test need not wait for a real one."""
    monkeypatch.setattr(lease_module, "RENEW_S", RENEW_S)


@contextmanager
def living_driver(store: Store, *, host: str, pid: int, behind_s: float = 0.0) -> Iterator[None]:
    """Another driver that holds the lease and renews it, as seen from here; its clock may be behind ours."""
    stop = threading.Event()

    def write() -> None:
        renewed = time.time() - behind_s
        store.write_model(LEASE_FILE, Lease(owner="other", host=host, pid=pid, started=1.0, renewed=renewed))

    def renew() -> None:
        while not stop.wait(RENEW_S):
            write()

    write()
    thread = threading.Thread(target=renew)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def take(store: Store) -> None:
    """Another driver takes the lease, as drivers do: not in the middle of a renewal."""
    with root_lock(store):
        lease = Lease(owner="other", host="elsewhere", pid=1, started=1.0, renewed=time.time())
        store.write_model(LEASE_FILE, lease)


def is_lost(holder: LeaseHolder) -> bool:
    try:
        holder.check()
    except LeaseError:
        return True
    return False


def is_refused(store: Store) -> bool:
    """Whether a driver that comes now is told to wait."""
    try:
        with LeaseHolder(store):
            return False
    except LeaseError:
        return True


# ------------------------------------------------------------------------------------------------------ exclusion


class SlowStore(Store):
    """A store whose first answer about the lease takes until `go_on` is set."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.looked, self.go_on = threading.Event(), threading.Event()

    def read_bytes(self, relative: str) -> bytes:
        try:
            return super().read_bytes(relative)
        finally:
            if relative == LEASE_FILE and not self.looked.is_set():
                self.looked.set()
                self.go_on.wait(10)


def test_of_two_drivers_that_start_at_once_one_is_refused(tmp_path: Path) -> None:
    """Right: exactly one of them holds the root.

    Two scheduled runs start in the same second, and the store answers one of them late. If both went on, they would
    record each other's outputs, and two ingests would write one journal entry, of which one is lost with its images.
    """
    slow = SlowStore(str(tmp_path))
    held: list[str] = []

    def enter(name: str, holder: LeaseHolder) -> None:
        with suppress(LeaseError):
            holder.__enter__()
            held.append(name)

    first, second = LeaseHolder(Store(str(tmp_path))), LeaseHolder(slow)
    late = threading.Thread(target=enter, args=("second", second))
    late.start()
    slow.looked.wait(5)  # it has seen that nobody holds the root; before it goes on, the other one comes
    enter("first", first)
    slow.go_on.set()
    late.join()
    for name, holder in (("first", first), ("second", second)):
        if name in held:
            holder.__exit__(None, None, None)
    assert len(held) == 1


@pytest.mark.usefixtures("renews_often")
def test_a_driver_that_lost_its_lease_does_not_take_it_back(tmp_path: Path) -> None:
    """Right: a lease that another driver has taken names that driver until it lets go.

    A laptop sleeps for two minutes; a second driver waits out the term, takes the root and works. If the first one woke
    and named itself again, both would work on one root, and neither would be told.
    """
    store = Store(str(tmp_path))
    with LeaseHolder(store) as holder:
        take(store)
        wait_until(lambda: is_lost(holder))
        assert store.read_model(LEASE_FILE, Lease).owner == "other"


@pytest.mark.usefixtures("renews_often")
def test_a_driver_that_lost_its_lease_writes_nothing_more(tmp_path: Path) -> None:
    """Right: the run stops with an error that says who holds the root now, before it gives out more work.

    Two drivers on one root is what the lease is there to prevent: the one without it is the one to stop.
    """
    write_photographs(tmp_path / "photos", 2)
    with opened(tmp_path / "root", fake_config(tmp_path / "photos")) as pipeline:
        pipeline.run(Ingest())
        holder = pipeline.store.guard
        assert isinstance(holder, LeaseHolder)
        take(pipeline.store)
        wait_until(lambda: is_lost(holder))
        with pytest.raises(LeaseError, match="elsewhere"):
            pipeline.run(Annotate())
        assert pipeline.store.list_names("stages/first") == set()


# ------------------------------------------------------------------------------------------- who lives and who not


@pytest.mark.usefixtures("renews_often")
def test_the_lease_of_a_dead_container_with_our_pid_is_taken_over(tmp_path: Path) -> None:
    """Right: the driver that wrote it started a day before this process, so it is another one, and dead.

    In a container every driver has the same pid and the pod's name as its host. One that was killed for its memory is
    started again, and must not be refused by its own lease for ever: "held by another driver (pid 1 on ...)".
    """
    store, me = Store(str(tmp_path)), psutil.Process()
    day_s = 86_400
    store.write_model(
        LEASE_FILE,
        Lease(
            owner="dead",
            host=socket.gethostname(),
            pid=os.getpid(),
            started=me.create_time() - day_s,
            renewed=time.time() - day_s,
        ),
    )
    with LeaseHolder(store):
        pass


def test_a_living_driver_of_another_pid_namespace_is_respected(tmp_path: Path) -> None:
    """Right: a lease that is being renewed belongs to a living driver, whether or not its pid can be seen from here.

    Two containers on one machine's network share its host name and not its pids. The second one must not take the root
    from the first in the middle of its work.
    """
    store = Store(str(tmp_path))
    with living_driver(store, host=socket.gethostname(), pid=4_000_000):
        assert is_refused(store)


def test_a_living_driver_whose_clock_is_behind_is_respected(tmp_path: Path) -> None:
    """Right: what tells a living driver is that its lease changes while one watches, not the time that it writes.

    A node's clock is 70 s behind: by its time alone, its lease is expired from the moment it is written.
    """
    store = Store(str(tmp_path))
    with living_driver(store, host="elsewhere", pid=1, behind_s=70):
        assert is_refused(store)


class FlakyStore(Store):
    """A store that refuses the second write of the lease, as a busy object store does."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.writes: list[str] = []  # those of a driver's copy of it, too

    def write_bytes(self, relative: str, data: bytes) -> FileRecord:
        if relative == LEASE_FILE:
            self.writes.append(relative)
            if len(self.writes) == 2:
                raise OSError("503 SlowDown: please reduce your request rate")
        return super().write_bytes(relative, data)


@pytest.mark.usefixtures("renews_often")
def test_one_failed_renewal_is_tried_again(tmp_path: Path) -> None:
    """Right: after one 503 the next renewal stands in the store a moment later.

    A renewing thread that died with the first error, unseen, would let any other driver take the root a minute on from
    one that still works.
    """
    store = FlakyStore(str(tmp_path))
    with LeaseHolder(store):
        wait_until(lambda: len(store.writes) >= 2)
        after_failure = time.time()
        wait_until(lambda: store.read_model(LEASE_FILE, Lease).renewed > after_failure)


# -------------------------------------------------------------------------------- nothing before the lease is held


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A finished root with its config."""
    write_photographs(tmp_path / "photos", 2)
    config = fake_config(tmp_path / "photos")
    run_pipeline(tmp_path / "root", config)
    (tmp_path / "root/config.yaml").write_text(dump_config(config))
    return tmp_path / "root"


def recipe(root: Path, **changes: Any) -> str:
    """A file with another config of the same photographs."""
    path = root.parent / "other.yaml"
    path.write_text(dump_config(fake_config(root.parent / "photos", **changes)))
    return str(path)


def test_a_run_beside_a_living_driver_leaves_its_config_alone(root: Path) -> None:
    """Right: while another driver holds the root, its config.yaml says what that driver does.

    `fld status`, `export`, `refine`, `replay` and `remove` go by this file, and the other driver is not done with it.
    Here the second run has nothing to do, and still leaves its own settings behind.
    """
    before = (root / "config.yaml").read_text()
    with LeaseHolder(Store(str(root))):
        CliRunner().invoke(app, ["run", recipe(root, limits={"task_retries": 7}), "--root", str(root)])
    assert (root / "config.yaml").read_text() == before


def test_a_config_with_a_mistake_does_not_replace_the_one_that_works(root: Path) -> None:
    """Right: a run that is refused for a misspelt filter changes nothing in the root.

    It would be what the root goes by from then on: `fld status` and `fld export` would fail on a finished root until
    somebody finds the file.
    """
    before = (root / "config.yaml").read_text()
    wrong = recipe(root, filters={"region-nsm": {}})
    done = CliRunner().invoke(app, ["run", wrong, "--root", str(root)])
    assert done.exit_code != 0
    assert (root / "config.yaml").read_text() == before


@pytest.mark.faults_slow
@pytest.mark.timeout(900)
def test_a_run_that_the_lease_refuses_has_changed_no_file(root: Path) -> None:
    """Right: `fld run` with another config is refused, and every file of the root is as it was."""
    before = files_of(root)
    with LeaseHolder(Store(str(root))):
        other = recipe(root, filters={"region-confidence": {"params": {"objects": 0.9}}})
        command = [*FLD, "run", other, "--root", str(root), "--yes"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "held by another driver" in done.stderr
    assert files_of(root) == before


@pytest.mark.faults_slow
@pytest.mark.timeout(900)
def test_a_replay_that_the_lease_refuses_has_changed_no_file(tmp_path: Path) -> None:
    """Right: `fld replay` is refused while another driver works, and takes no output from under it."""
    ids = write_photographs(tmp_path / "photos", 2)
    annotators = {"first": {"use": "fake", "params": {"raise_on": [ids[0]]}}}
    config = fake_config(tmp_path / "photos", annotators=annotators)
    run_pipeline(tmp_path / "root", config)
    (tmp_path / "root/config.yaml").write_text(dump_config(config))
    before = files_of(tmp_path / "root")
    with LeaseHolder(Store(str(tmp_path / "root"))):
        command = [*FLD, "replay", "--root", str(tmp_path / "root")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "held by another driver" in done.stderr
    assert files_of(tmp_path / "root") == before


def files_of(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
