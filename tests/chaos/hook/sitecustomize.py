"""Ends a process at a chosen moment: installed in every Python process that starts with this folder on its path.

A moment is the instant before a file of the root is written, renamed or removed; between two of them nothing of a root
changes. Moments are counted while the driver holds `CHAOS_FOLDER/driver.count` and `worker.count` there, over all
workers together. The lease is left out: it is renewed by the clock, and the count would not come out the same again.
Of a root in an object store it is the instant before a request that changes it.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir"}
"""Audit events beside `open`; https://docs.python.org/3/library/audit_events.html. `os.replace` is `os.rename`."""


def install(role: str) -> None:
    """Watch this process, as the driver or a worker."""
    inside = os.environ["CHAOS_ROOT"] + "/"
    if inside.startswith("s3://"):
        import fsspec

        os.environ["CHAOS_COUNTED_AS"] = role
        fsspec.register_implementation("s3", "counted_s3.CountedS3", clobber=True)
        return

    def hook(event: str, given: tuple[Any, ...]) -> None:
        if event not in CHANGES and (event != "open" or not given[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        path = given[0]
        if not isinstance(path, str) or not path.startswith(inside) or path.startswith(inside + "lease."):
            return
        count(role)

    sys.addaudithook(hook)


def count(role: str) -> None:
    """A moment of this process; it may be its last."""
    folder, victim = os.environ["CHAOS_FOLDER"], os.environ["CHAOS_VICTIM"]
    moment = int(os.environ["CHAOS_MOMENT"])
    try:
        counted = os.open(f"{folder}/{role}.count", os.O_WRONLY | os.O_APPEND)
    except FileNotFoundError:
        return  # the stage is not at work
    os.write(counted, b".")
    now = os.fstat(counted).st_size
    os.close(counted)
    if moment and now >= moment and role == ("driver" if victim == "driver" else "worker"):
        strike(folder, victim)


def strike(folder: str, victim: str) -> None:
    """Kill this process, or the raylet that it belongs to; once, whoever comes first."""
    try:
        os.close(os.open(f"{folder}/struck", os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(raylet_of(os.getpid()) if victim == "raylet" else os.getpid(), signal.SIGKILL)


def raylet_of(pid: int) -> int:
    """The raylet among a process's ancestors."""
    while (name := Path(f"/proc/{pid}/stat").read_text().rpartition(")"))[0].partition("(")[2] != "raylet":
        pid = int(name[2].split()[1])
    return pid


if "CHAOS_ROLE" in os.environ:
    install(os.environ["CHAOS_ROLE"])
    os.environ["CHAOS_ROLE"] = "worker"  # whoever this process starts
