"""One driver at a time; a dead one does not block the next."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from fld_engine.engine.data import lease as lease_module
from fld_engine.engine.data.lease import LEASE_FILE, Lease, LeaseHolder, term_s
from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import LeaseError
from tests.object_store import served_bucket


def test_a_second_driver_is_refused_and_told_who_holds_the_root(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    with LeaseHolder(store), pytest.raises(LeaseError, match="held by another driver"), LeaseHolder(store):
        pass
    with LeaseHolder(store):  # released at the end
        pass
    assert not store.exists(LEASE_FILE)


def test_the_lease_of_a_killed_driver_on_this_host_is_taken_over_at_once(tmp_path: Path) -> None:
    code = f"""
import os
from fld_engine.engine.data.lease import LeaseHolder
from fld_engine.engine.data.store import Store
LeaseHolder(Store({str(tmp_path)!r})).__enter__()
os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    store = Store(str(tmp_path))
    assert store.exists(LEASE_FILE)
    with LeaseHolder(store):
        assert holder_of(store) == os.getpid()


def holder_of(store: Store) -> int:
    """The process that the lease of a root names."""
    return int(store.read_model(LEASE_FILE, Lease).pid)


@pytest.mark.parametrize("moves", [True, False])
def test_the_lease_of_another_host_goes_by_whether_it_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: bool
) -> None:
    """Whatever time it states: clocks differ, and are set."""
    monkeypatch.setattr(lease_module, "RENEW_S", 0.05)
    store = Store(str(tmp_path))
    lease = Lease(owner="x", host="elsewhere", pid=1, started=0.0, renewed=time.time() + 1e6)
    store.write_model(LEASE_FILE, lease)
    renewal = threading.Timer(0.1, store.write_model, [LEASE_FILE, lease.model_copy(update={"counter": 1})])
    if moves:
        renewal.start()
        with pytest.raises(LeaseError, match="elsewhere"), LeaseHolder(store):
            pass
        renewal.join()
        assert holder_of(store) == 1, "it is that one's still"
    else:
        with LeaseHolder(store):
            assert holder_of(store) == os.getpid()


def test_a_clock_that_is_set_makes_no_living_driver_dead(tmp_path: Path) -> None:
    """What psutil says of a process's begin moves with the clock: a driver would be taken for another and robbed."""
    store = Store(str(tmp_path))
    with LeaseHolder(store):
        lease: Lease = store.read_model(LEASE_FILE, Lease)
        code = f"""
from fld_engine.engine.data import lease
from fld_engine.engine.data.store import Store
import psutil, time
psutil.boot_time = lambda: 1.0
time.time = lambda: 1e9
lease.LeaseHolder(Store({str(tmp_path)!r})).__enter__()
"""
        done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
        assert "LeaseError" in done.stderr
        assert store.read_model(LEASE_FILE, Lease).owner == lease.owner


def test_a_lease_that_cannot_be_renewed_for_a_term_stops_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then another driver may have taken it: whoever cannot tell must not write."""
    monkeypatch.setattr(lease_module, "RENEW_S", 0.05)
    store = Store(str(tmp_path))
    with LeaseHolder(store) as holder:
        held = store.guarded(holder)
        held.publish_bytes("config.yaml", b"1")

        def refuse(*_: Any) -> None:
            raise OSError("503 SlowDown")

        monkeypatch.setattr(lease_module, "replace", refuse)
        time.sleep(2 * term_s())
        for write in (held.publish_bytes, held.write_bytes):
            with pytest.raises(LeaseError, match="could not be renewed"):
                write("config.yaml", b"2")
    assert store.read_bytes("config.yaml") == b"1"


def test_a_torn_lease_is_watched_and_then_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full left half a file: the root is not lost for it."""
    monkeypatch.setattr(lease_module, "RENEW_S", 0.02)
    store = Store(str(tmp_path))
    store.write_bytes(LEASE_FILE, b'{"owner": "x", "ho')
    begun = time.monotonic()
    with LeaseHolder(store):
        assert time.monotonic() - begun >= term_s(), "its writer may be alive: it was not watched for a term"
        assert holder_of(store) == os.getpid()
    assert not store.exists(LEASE_FILE)


@pytest.fixture(params=["local", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "local":
        yield str(tmp_path)
        return
    with served_bucket() as bucket:
        yield f"{bucket}/root"


def test_of_two_drivers_that_start_at_once_a_hundred_times_one_holds_the_root(url: str) -> None:
    """Neither both, which mixes their outputs, nor none, which loses a scheduled run."""
    for _ in range(100):
        barrier, both_tried = threading.Barrier(2), threading.Barrier(2)
        held: list[str] = []

        def drive(name: str, barrier: threading.Barrier, tried: threading.Barrier, held: list[str]) -> None:
            holder = LeaseHolder(Store(url))
            barrier.wait()
            try:
                with holder:
                    held.append(name)
                    tried.wait()
            except LeaseError:
                tried.wait()

        drivers = [threading.Thread(target=drive, args=(name, barrier, both_tried, held)) for name in "ab"]
        for driver in drivers:
            driver.start()
        for driver in drivers:
            driver.join()
        assert len(held) == 1


def test_a_driver_that_was_overtaken_writes_nothing_that_the_root_goes_by(url: str) -> None:
    """It slept past its term; the other one's config, journal and tombstones stay as that one wrote them."""
    store = Store(url)
    first = LeaseHolder(store)
    first._acquire()  # without its thread: it sleeps
    asleep = store.guarded(first)
    asleep.publish_bytes("config.yaml", b"first")
    store.delete(LEASE_FILE)  # as the second one finds it after a term
    with LeaseHolder(store) as second:
        awake = store.guarded(second)
        awake.publish_bytes("config.yaml", b"second")
        awake.create_model("ingest/000001.json", Counted(counter=2))
        with pytest.raises(LeaseError, match="taken its lease"):
            asleep.publish_bytes("config.yaml", b"first again")
        with pytest.raises(LeaseError):
            asleep.create_model("ingest/000001.json", Counted(counter=1))
        assert store.read_bytes("config.yaml") == b"second"
        assert store.read_model("ingest/000001.json", Counted).counter == 2


class Counted(Frozen):
    counter: int


class Drivers(RuleBasedStateMachine):
    """Drivers that come, sleep, write and leave in any order: one at most is the rightful one, and it alone writes."""

    ever = Bundle("ever")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = Store(self.folder.name)
        self.rightful: LeaseHolder | None = None
        self.is_asleep = False
        self.published = b""

    @rule(target=ever)
    def come(self) -> LeaseHolder:
        """Refused while the rightful driver is awake; one that sleeps is as still as a dead one."""
        holder = LeaseHolder(self.store)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lease_module, "_is_alive", lambda lease: None)
            patch.setattr(holder, "_moves", lambda version: not self.is_asleep)
            if self.rightful is None or self.is_asleep:
                holder._acquire()
                self.rightful, self.is_asleep = holder, False
            else:
                with pytest.raises(LeaseError, match="held by another driver"):
                    holder._acquire()
        return holder

    @rule()
    def sleep(self) -> None:
        self.is_asleep = True

    @rule(holder=ever, data=st.binary(min_size=1, max_size=3))
    def write(self, holder: LeaseHolder, data: bytes) -> None:
        guarded = self.store.guarded(holder)
        if holder is self.rightful:
            guarded.publish_bytes("config.yaml", data)
            self.published, self.is_asleep = data, False
        else:
            with pytest.raises(LeaseError):
                guarded.publish_bytes("config.yaml", data)

    @rule(holder=ever)
    def leave(self, holder: LeaseHolder) -> None:
        holder._release()
        if holder is self.rightful:
            self.rightful = None

    @invariant()
    def what_the_rightful_one_wrote_stands(self) -> None:
        if self.published:
            assert self.store.read_bytes("config.yaml") == self.published

    def teardown(self) -> None:
        self.folder.cleanup()


TestDrivers = Drivers.TestCase
TestDrivers.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)
