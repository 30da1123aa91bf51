"""Processes of Ray that train."""

from __future__ import annotations

from contextlib import suppress

import psutil


def training_workers(driver: psutil.Process) -> list[psutil.Process]:
    """The training workers of a cluster that a process has started, as far as they are there by now."""
    found = []
    for process in driver.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "RayTrainWorker" in " ".join(process.cmdline()):
                found.append(process)
    return found
