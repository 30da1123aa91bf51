"""Starts drivers of the chaos table, each in a process of its own, and waits for their end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.waiting import PATIENCE_S

HOOK = Path(__file__).parent / "hook"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a driver ended: its exit status, what it said, and whether the blow fell."""

    status: int
    said: str
    struck: bool


def start(
    root: Path | str,
    folder: Path,
    photographs: Path,
    stage: str,
    runner: str,
    *,
    image_id: str = "",
    victim: str = "",
    moment: int = 0,
) -> Ended:
    """Drive a root to its end, but for what a blow at a moment makes of it; `folder` is for counts.

    Raises `AssertionError` where the driver hangs, and ends it with all that it started.
    """
    order = {
        "root": str(root),
        "folder": str(folder),
        "photographs": str(photographs),
        "stage": stage,
        "runner": runner,
        "image_id": image_id,
    }
    environment = {
        **os.environ,
        "PYTHONPATH": f"{HOOK}:{REPOSITORY}",
        "OMP_NUM_THREADS": "1",
        "CHAOS_ROLE": "driver",
        "CHAOS_ROOT": str(root),
        "CHAOS_FOLDER": str(folder),
        "CHAOS_VICTIM": victim,
        "CHAOS_MOMENT": str(moment),
    }
    for left in ("struck", "driver.count", "worker.count"):
        (folder / left).unlink(missing_ok=True)
    said = folder / "said.txt"
    with said.open("w") as stream:  # not a pipe: workers that outlive their driver for a moment would hold it
        command = [sys.executable, "-m", "tests.chaos.driver", json.dumps(order)]
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, cwd=REPOSITORY)
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            for child in [*psutil.Process(process.pid).children(recursive=True), process]:
                child.kill()
            process.wait()
            raise AssertionError(f"the driver of {root} hangs:\n{said.read_text()}") from None
    return Ended(process.returncode, said.read_text(), (folder / "struck").exists())
