"""One driver at a time: the lease on a dataset root, and what only its holder may write."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from pathlib import Path
from types import TracebackType

from pydantic import ValidationError

from fld_engine.engine.data.conditional import Overtaken, Version, create, read_version, replace, root_lock
from fld_engine.engine.data.store import Store, model_bytes
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import LeaseError, TransportError

log = logging.getLogger(__name__)

LEASE_FILE = "lease.json"
RENEW_S = 10.0
MISSED_RENEWALS = 6
"""A lease that nobody renews for as many renewals belongs to a dead driver: a slow store is no false alarm."""


class Lease(Frozen):
    """Who holds a root. `counter` goes up with every renewal: that it moves is what tells a living driver.

    `processes` names the space that `pid` counts in (a machine since it was started, a container), `started` is when
    the process began, in ticks since that start. `renewed` is of the holder's clock, for people to read: clocks differ
    and jump, so nothing is decided by it.
    """

    owner: str
    host: str
    pid: int
    started: float
    renewed: float
    processes: str = ""
    counter: int = 0


class LeaseHolder:
    """Context manager that holds a root's lease, renews it in a thread, and guards what only its holder may write.

    On entry, a driver whose process is seen to live is refused with `LeaseError`, one whose process is seen to be gone
    is followed at once. Of any other, the lease is watched: refused when it moves, followed when it stands still for a
    whole term.
    """

    def __init__(self, store: Store) -> None:
        self._store = store.guarded(None)  # it may come from a driver that is done
        self._owner = uuid.uuid4().hex
        self._counter = 0
        self._version: Version | None = None  # of the lease as we wrote it last; None while it is not ours
        self._confirmed = 0.0
        self._lost = "it holds no lease"
        self._writing = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> LeaseHolder:
        self._acquire()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        try:
            self._release()
        except (OSError, TransportError) as problem:
            log.warning("the lease of %s could not be given back (%s): it runs out by itself", self._store.url, problem)

    # ------------------------------------------------------------------ what it is held for

    def check(self) -> None:
        """Raises `LeaseError` where the lease is lost: another driver has it, or it could not be renewed for a term."""
        if not self._lost and time.monotonic() - self._confirmed > term_s():
            try:  # a machine that slept, or a store that did: what counts is what the lease says now
                self._renew()
            except (OSError, TransportError) as error:
                self._lose(f"its lease could not be renewed for {term_s():.0f} s ({error})")
        if self._lost:
            raise LeaseError(
                f"{self._store.url}: {self._lost}; this driver stops. Nothing is lost: run again when the root is free"
            )

    def publish(self, store: Store, relative: str, data: bytes) -> None:
        """Create or replace a file that the whole root goes by. `store` is the root or a folder of it.

        Raises `LeaseError`, and writes nothing, where the lease is lost or another driver wrote the file.
        """
        self.check()
        if store.local:
            with root_lock(self._store):
                self._see_that_it_is_ours()
                store.write_bytes(relative, data)
            return
        found = read_version(store, relative)
        self._see_that_it_is_ours()
        try:
            create(store, relative, data) if found is None else replace(store, relative, data, found[1])
        except Overtaken:
            self._lose(f"another driver wrote {relative}")
            self.check()

    def create(self, store: Store, relative: str, data: bytes) -> None:
        """Write a file that must not be there. Raises `LeaseError` where it is, or where the lease is lost."""
        self.check()
        try:
            create(store, relative, data)
        except Overtaken:
            self._lose(f"another driver wrote {relative}")
            self.check()

    # ------------------------------------------------------------------ the lease itself

    def _acquire(self) -> None:
        while True:
            found = read_version(self._store, LEASE_FILE)
            if found is not None:
                self._wait_for_death(*found)
            begun, lease = time.monotonic(), self._lease()
            try:
                if found is None:
                    create(self._store, LEASE_FILE, lease)
                else:
                    replace(self._store, LEASE_FILE, lease, found[1])
            except Overtaken:
                continue  # another driver came at the same moment: see whether it lives
            self._confirmed = begun
            written = read_version(self._store, LEASE_FILE)
            if written is not None and written[0] == lease:
                self._version, self._lost = written[1], ""
                return

    def _wait_for_death(self, data: bytes, version: Version) -> None:
        """Return once the driver behind a lease is known to be dead. Raises `LeaseError` where it lives."""
        try:
            lease = Lease.model_validate_json(data)
        except ValidationError:
            lease = Lease(owner="", host="an unknown machine", pid=0, started=0.0, renewed=0.0)
        alive = _is_alive(lease)
        if alive is None:
            log.warning(
                "%s has a lease of pid %d on %s: watching for up to %.0f s whether it is still renewed",
                self._store.url,
                lease.pid,
                lease.host,
                term_s(),
            )
            alive = self._moves(version)
        if alive:
            raise LeaseError(
                f"{self._store.url} is held by another driver (pid {lease.pid} on {lease.host}): wait for it to end, "
                "or stop it"
            )

    def _moves(self, version: Version) -> bool:
        """Whether a lease changes within a term. One that goes away leaves the root free."""
        end = time.monotonic() + term_s()
        while time.monotonic() < end:
            time.sleep(RENEW_S / 5)
            found = read_version(self._store, LEASE_FILE)
            if found is None or found[1] != version:
                return found is not None
        return False

    def _lease(self) -> bytes:
        lease = Lease(
            owner=self._owner,
            host=socket.gethostname(),
            pid=os.getpid(),
            started=_started(os.getpid()) or 0.0,
            renewed=time.time(),
            processes=_processes(),
            counter=self._counter,
        )
        self._counter += 1
        return model_bytes(lease)

    def _keep(self) -> None:
        """Renew until the end. One renewal that fails is tried again sooner; past its term the lease is lost."""
        pause = RENEW_S
        while not self._stop.wait(pause) and not self._lost:
            try:
                self._renew()
                pause = RENEW_S
            except (OSError, TransportError) as error:
                log.warning("the lease of %s could not be renewed: %s", self._store.url, error)
                pause = RENEW_S / 5

    def _renew(self) -> None:
        """Write the lease again, if it is still ours.

        Raises `OSError` or `TransportError` where the store does not answer.
        """
        with self._writing:
            if self._version is None:
                return
            begun, lease = time.monotonic(), self._lease()
            try:
                replace(self._store, LEASE_FILE, lease, self._version)
                written = read_version(self._store, LEASE_FILE)
            except Overtaken:
                written = read_version(self._store, LEASE_FILE)
            if written is None or _owner_of(written[0]) != self._owner:
                self._lose_to(written)
                return
            self._version, self._confirmed = written[1], begun

    def _release(self) -> None:
        """Give the lease back. It was just renewed, so that nobody takes it before it is deleted."""
        self._renew()
        with self._writing:
            if self._version is not None and not self._lost:
                self._version, self._lost = None, "its lease was given back"
                self._store.delete(LEASE_FILE)

    def _see_that_it_is_ours(self) -> None:
        found = read_version(self._store, LEASE_FILE)
        if found is None or _owner_of(found[0]) != self._owner:
            self._lose_to(found)
            self.check()

    def _lose_to(self, found: tuple[bytes, Version] | None) -> None:
        if found is None:
            self._lose("somebody deleted its lease")
            return
        try:
            taker = Lease.model_validate_json(found[0])
            self._lose(f"another driver (pid {taker.pid} on {taker.host}) has taken its lease")
        except ValidationError:
            self._lose("somebody has overwritten its lease")

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._version = None


def term_s() -> float:
    """How long a lease that is not renewed is respected."""
    return MISSED_RENEWALS * RENEW_S


def _owner_of(data: bytes) -> str:
    try:
        return Lease.model_validate_json(data).owner
    except ValidationError:
        return ""


def _is_alive(lease: Lease) -> bool | None:
    """Whether the process behind a lease lives, as far as that can be seen from here; else `None`."""
    if not lease.processes or lease.processes != _processes():
        return None
    return _started(lease.pid) == lease.started


def _started(pid: int) -> float | None:
    """When a process began, in ticks since its machine was started; `None` where it is gone, or only not yet buried.

    psutil gives seconds of the clock, which move when the clock is set.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    state, ticks = fields[0], fields[19]  # fields 3 and 22 of proc_pid_stat(5)
    return None if state in "ZX" else float(ticks)


def _processes() -> str:
    """Where this process's pid means something: the host, since its kernel was started, and its pid namespace.

    Empty where the system does not tell; then nobody is declared dead by a pid.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""
