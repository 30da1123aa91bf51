"""A command in a terminal of its own, whose Ctrl-C reaches all that runs in its foreground, as a person's does."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import psutil

from tests.waiting import PATIENCE_S, wait_until

T = TypeVar("T")

LAUNCHER = """
import fcntl, os, signal, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
for one in (signal.SIGINT, signal.SIGTERM):  # whoever runs the tests in the background ignores them
    signal.signal(one, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
CTRL_C = b"\x03"
CONTROLS = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """Runs a command; `started` are all processes that it and its children were seen to start."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._screen, inside = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, *command],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={**os.environ, **(environment or {})},
        )
        os.close(inside)
        self.started: dict[int, psutil.Process] = {}
        self._said: list[bytes] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def wait_for(self, look: Callable[[], T]) -> T:
        """What `look` finds, as soon as that is true; fails where the command ends before."""

        def looking() -> T:
            self.look_at_processes()
            return look()

        return wait_until(looking, driver=self.process)

    def runs(self, name: str) -> bool:
        """Whether a process was started that has this in its command line."""
        return any(name in " ".join(_command_of(process)) for process in self.started.values())

    def press(self, key: bytes) -> None:
        self.look_at_processes()
        os.write(self._screen, key)

    def end(self) -> tuple[int, str]:
        """Exit status of the command, and all that the terminal showed."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"the command hangs:\n{self.said()}"
            self.look_at_processes()
            time.sleep(0.02)
        wait_until(lambda: not self.alive())  # what is still there holds the terminal open
        self._reader.join(PATIENCE_S)
        os.close(self._screen)
        return self.process.returncode, self.said()

    def said(self) -> str:
        return CONTROLS.sub("", b"".join(self._said).decode(errors="replace"))

    def alive(self) -> list[list[str]]:
        """Command lines of the processes that are left."""
        return [_command_of(process) for process in self.started.values() if _command_of(process)]

    def look_at_processes(self) -> None:
        try:
            for process in psutil.Process(self.process.pid).children(recursive=True):
                self.started.setdefault(process.pid, process)
        except psutil.Error:
            pass

    def _read(self) -> None:
        while True:
            try:
                found = os.read(self._screen, 1 << 16)
            except OSError:  # nobody is left who could write
                return
            self._said.append(found)


def _command_of(process: psutil.Process) -> list[str]:
    """Its command line; empty once it is gone, buried or not."""
    try:
        return list(process.cmdline()) if process.is_running() else []
    except psutil.Error:
        return []
