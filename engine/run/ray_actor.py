"""A worker as an actor of a Ray cluster. Nothing of Ray is used in it."""

from __future__ import annotations

import os
import queue
import socket
import threading

from fld_engine.engine.plan.registry import names_of_stages
from fld_engine.engine.plan.tasks import Task
from fld_engine.engine.run.memory import peak_memory_mb
from fld_engine.engine.run.messages import Event, Ready
from fld_engine.engine.run.said import tell_driver
from fld_engine.engine.run.worker import WorkerLoop


class RemoteWorker:
    """The actor: one thread works, another answers the driver's questions for events."""

    def __init__(self) -> None:
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()  # takes log records anywhere, also in clean-up
        self._asked = threading.Condition()
        self._num_asked = 0
        self._worker = WorkerLoop(self._events.put, self._flush)
        tell_driver(self._events.put, lambda: self._worker.doing)
        self._events.put(Ready(node=socket.gethostname(), stages=names_of_stages()))

    def work(self, task: Task) -> None:
        self._worker.run(task)

    def events(self, timeout_s: float) -> tuple[int, list[Event]]:
        """The most memory this process has held, in MiB, and all events there are; waits for the first of them.

        To ask is to have received the last answer.
        """
        with self._asked:
            self._num_asked += 1
            self._asked.notify_all()
        found: list[Event] = []
        try:
            found.append(self._events.get(timeout=timeout_s))
            while True:
                found.append(self._events.get_nowait())
        except queue.Empty:
            with self._asked:
                self._asked.notify_all()
            return peak_memory_mb(os.getpid()), found

    def _flush(self) -> None:
        """Wait until the driver asks again after the question whose answer took everything along.

        Without a limit: a driver that is gone takes its actors along, and one that is busy comes back.
        """
        with self._asked:
            self._asked.wait_for(self._events.empty)
            taken_along_by = self._num_asked
            self._asked.wait_for(lambda: self._num_asked > taken_along_by)
