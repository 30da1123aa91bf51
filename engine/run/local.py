"""Runner `local`: supervised child processes on this machine."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import psutil

from fld_engine.engine.plan.fit import fit_workers
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.registry import names_of_stages
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.run.backend import WorkerHandle
from fld_engine.engine.run.interrupt import unheard
from fld_engine.engine.run.memory import OomKills, peak_memory_mb
from fld_engine.engine.run.messages import Cause, Event, Lost, Ready, Said
from fld_engine.engine.run.said import tell_driver
from fld_engine.engine.run.worker import WorkerLoop, worker_environment

VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
LOOK_AT_MEMORY_S = 0.05
END_LIMIT_S = 5.0
"""How long a process may take to be gone after its end of the pipe is closed."""
_CONTEXT = multiprocessing.get_context("spawn")


class LocalWorker:
    """A child process at the other end of a pipe."""

    def __init__(self, environment: Mapping[str, str], kills: OomKills) -> None:
        self._peak_mb, self._kills = 0, kills
        self.connection, child = _CONTEXT.Pipe()
        self.process: BaseProcess = _CONTEXT.Process(target=_main, args=(child, os.getpid()), daemon=True)
        saved = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            resource_tracker.ensure_running()  # it would let the signals in again
            with unheard(signal.SIGINT):
                self.process.start()
        finally:
            for name, value in saved.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})
        child.close()
        self._killed_before = kills.count(self.process.pid or os.getpid())

    def submit(self, task: Task) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has just died: `poll` will say so
            self.connection.send(task)

    def look_at_memory(self) -> None:
        """Note how much the process has held until now: once it is gone, nobody knows."""
        if self.process.pid is not None:
            self._peak_mb = max(self._peak_mb, peak_memory_mb(self.process.pid))

    def lost(self) -> Lost:
        """Why the process is gone. Linux ends a process for its memory by SIGKILL, as others may do, too: what tells is
        that the kernel counts it. That a process held more than it asked for is a fact beside, and no evidence.
        """
        self.process.join(END_LIMIT_S)
        code = self.process.exitcode
        if code != -signal.SIGKILL:
            how = "gone" if code is None else f"exit status {code}" if code >= 0 else signal.Signals(-code).name
            return Lost(cause="process", detail=how, peak_mb=self._peak_mb)
        cause: Cause = "memory" if self._kills.claim(self._killed_before) else "process"
        return Lost(cause=cause, detail="SIGKILL", peak_mb=self._peak_mb)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


class LocalBackend:
    """Starts up to `workers` child processes, whatever they ask for: cores are shared as the machine shares them."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = max(1, workers)
        self._gpus_given = 0.0
        self._looked_at = 0.0
        self._kills = OomKills()

    def fit(self, requests: Sequence[Resources]) -> list[int]:
        """Every worker takes one of the `workers` places; GPUs are those of this machine."""
        gpus, memory_mb = float(num_gpus()), psutil.virtual_memory().total // 2**20
        for request in requests:  # against the machine itself, though cores are shared
            fit_workers([Resources(cpus=request.cpus, gpus=gpus, memory_mb=memory_mb)], [request])
        places = Resources(cpus=self._workers, gpus=gpus, memory_mb=max(r.memory_mb for r in requests) * self._workers)
        return fit_workers([places], [request.model_copy(update={"cpus": 1.0}) for request in requests])

    def start(self, resources: Resources, *, lane: str = "") -> WorkerHandle:
        environment = worker_environment(resources.cpus)
        if resources.gpus and num_gpus():
            there = os.environ.get(VISIBLE_GPUS) or ",".join(map(str, range(num_gpus())))
            environment[VISIBLE_GPUS] = gpus_in_turn(there.split(","), self._gpus_given, resources.gpus)
            self._gpus_given += resources.gpus
        return LocalWorker(environment, self._kills)

    def poll(self, workers: Sequence[WorkerHandle], timeout_s: float) -> list[tuple[WorkerHandle, Event]]:
        local = {w.connection: w for w in workers if isinstance(w, LocalWorker)}
        events: list[tuple[WorkerHandle, Event]] = []
        deadline = time.monotonic() + timeout_s
        self._look_at_memory(local.values())
        ready = wait(list(local), 0)
        while not ready and time.monotonic() < deadline:
            ready = wait(list(local), LOOK_AT_MEMORY_S)
            self._look_at_memory(local.values())
        for connection in ready:
            assert isinstance(connection, Connection)
            worker = local[connection]
            try:
                while connection.poll():
                    events.append((worker, connection.recv()))
            except (EOFError, OSError):  # also in the middle of a message
                events.append((worker, worker.lost()))
        return events

    def _look_at_memory(self, workers: Iterable[LocalWorker]) -> None:
        now = time.monotonic()
        if now - self._looked_at >= LOOK_AT_MEMORY_S:
            self._looked_at = now
            for worker in workers:
                worker.look_at_memory()


def gpus_in_turn(there: Sequence[str], given: float, wanted: float) -> str:
    """The devices of the next worker, after `given` were handed out: whole ones, or the one that a share is of."""
    first = math.floor(given)
    return ",".join(there[i % len(there)] for i in range(first, first + math.ceil(wanted)))


def num_gpus() -> int:
    """NVIDIA devices of this machine."""
    return sum(name.startswith("nvidia") and name[6:].isdigit() for name in os.listdir("/dev"))


class Mouth:
    """What a child says through its pipe, one after another.

    A log record may be made on any thread, even by what is cleaned up in the middle of sending: it never waits, and
    goes with the next event where it cannot go at once.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection, self._lock = connection, threading.Lock()
        self._unsaid: deque[Said] = deque(maxlen=1000)

    def emit(self, event: Event) -> None:
        with self._lock:
            self._say_rest()
            self._connection.send(event)

    def say(self, said: Said) -> None:
        self._unsaid.append(said)
        if self._lock.acquire(blocking=False):
            try:
                self._say_rest()
            finally:
                self._lock.release()

    def _say_rest(self) -> None:
        while self._unsaid:
            self._connection.send(self._unsaid.popleft())


def _main(connection: Connection, driver_pid: int) -> None:
    """A child's life: report, take tasks, and end with the driver."""
    threading.Thread(target=_end_with_driver, args=(driver_pid,), daemon=True).start()
    mouth = Mouth(connection)
    worker = WorkerLoop(mouth.emit, flush=lambda: None)  # what is in the pipe outlives its writer
    tell_driver(mouth.say, lambda: worker.doing)
    mouth.emit(Ready(node=socket.gethostname(), stages=names_of_stages()))
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            return
        worker.run(task)


def _end_with_driver(driver_pid: int) -> None:
    """A driver killed with -9 leaves no worker behind."""
    while os.getppid() == driver_pid:
        threading.Event().wait(1.0)
    os._exit(1)
