"""One driver at a time: the lease on a dataset root."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from types import TracebackType

import psutil

from fld_engine.engine.data.store import Store
from fld_engine.schemas.annotations import Frozen
from fld_engine.schemas.errors import LeaseError

LEASE_FILE = "lease.json"
RENEW_S = 10.0
EXPIRE_S = 60.0
"""A lease not renewed for this long belongs to a dead driver. Six renewals, so that a slow store is no false alarm."""


class Lease(Frozen):
    owner: str
    host: str
    pid: int
    started: float  # the process's start time, so that a reused pid is not mistaken for the owner
    renewed: float


class LeaseHolder:
    """Context manager that holds a root's lease and renews it in a thread.

    Raises `LeaseError` on entry when another living driver holds it. A driver killed on this host is recognised at
    once by its pid; one on another host when its lease has expired.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owner = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> LeaseHolder:
        held = self._read()
        if held is not None and _alive(held):
            raise LeaseError(
                f"{self._store.url} is held by another driver (pid {held.pid} on {held.host}): wait for it to end, "
                f"or stop it; if that machine is gone, try again in {EXPIRE_S:.0f} s"
            )
        self._write()
        now = self._read()
        if now is None or now.owner != self._owner:
            raise LeaseError(f"{self._store.url} was taken by another driver at the same moment: try again")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        held = self._read()
        if held is not None and held.owner == self._owner:
            self._store.fs.rm_file(self._store.path(LEASE_FILE))

    def _read(self) -> Lease | None:
        try:
            lease: Lease = self._store.read_model(LEASE_FILE, Lease)
        except FileNotFoundError:
            return None
        return lease

    def _write(self) -> None:
        me = psutil.Process()
        lease = Lease(
            owner=self._owner, host=socket.gethostname(), pid=me.pid, started=me.create_time(), renewed=time.time()
        )
        self._store.write_model(LEASE_FILE, lease)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_S):
            self._write()


def _alive(lease: Lease) -> bool:
    if lease.host != socket.gethostname():
        return time.time() - lease.renewed < EXPIRE_S
    if lease.pid == os.getpid():
        return True
    try:
        return abs(psutil.Process(lease.pid).create_time() - lease.started) < 1.0
    except psutil.NoSuchProcess:
        return False
