"""This machine: Python, extras, devices, Ray, Prefect, the cache, the disk."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import psutil
from packaging.requirements import Requirement

from fld_engine.annotators.common.cache import cache_folder
from fld_engine.engine.data.extras import PACKAGE, absent, extras, install_command
from fld_engine.engine.data.libraries import NONE, versions_here
from fld_engine.flows.doctor.check import Check, required
from fld_engine.flows.places import existing, is_writable
from fld_engine.flows.prefect_reachable import check_reachable
from fld_engine.schemas.masking import masked

OLDEST, NEWEST = (3, 11), (3, 13)
"""Versions of Python that are declared and tested."""
LITTLE_BYTES = 5_000_000_000
"""Free space below which a run of any size will end on a full disk (ours)."""
DEVICES = """
import torch
cards = range(torch.cuda.device_count())
print(len(cards), *map(torch.cuda.get_device_name, cards), sep="|")
"""
DEVICES_LIMIT_S = 120.0
ANSWER_LIMIT_S = 5.0


def python() -> Iterator[Check]:
    here = ".".join(map(str, sys.version_info[:3]))
    known = OLDEST <= sys.version_info[:2] <= NEWEST
    yield Check(name="fld-engine", state="ok", found=f"{release()} in {sys.prefix}")
    tested = "versions 3.11 to 3.13 are tested"
    yield required("Python", known, f"{here}, {sys.executable}", tested, otherwise="warning")


def _is_installed(distribution: str) -> bool:
    try:
        return bool(version(distribution))
    except PackageNotFoundError:
        return False


def release() -> str:
    """The version of this package; `unknown` where its metadata is not installed."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return "unknown"


def installed_extras() -> Iterator[Check]:
    for name, requirements in extras().items():
        if not (lacking := absent(one.name for one in requirements)):
            yield Check(name=f"extra {name}", state="ok", found="installed")
        else:
            found = f"not here: {', '.join(lacking)}"
            yield Check(name=f"extra {name}", state="absent", found=found, cure=install_command(name))


def devices() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory().total / 1e9
    yield Check(name="processors", state="ok", found=f"{cores} cores, {memory:.0f} GB of memory")
    driver = _answer(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    cards = [line.strip() for line in driver.splitlines() if line.strip()]
    if versions_here(["torch"])["torch"] == NONE:
        found = f"{', '.join(cards) or 'no GPU'}; without torch none is used"
        yield Check(name="GPUs", state="ok" if not cards else "warning", found=found, cure=_for_cards(cards))
        return
    number, *names = (_answer([sys.executable, "-c", DEVICES]).strip() or "0").split("|")
    seen = int(number) if number.isdigit() else 0
    if seen or not cards:
        yield Check(name="GPUs", state="ok", found=f"{seen}: {', '.join(names)}" if seen else "none")
    else:
        build = version("torch")
        yield Check(
            name="GPUs",
            state="warning",
            found=f"{', '.join(cards)}, of which torch {build} sees none",
            cure="install the build of torch that fits the driver: https://pytorch.org/get-started/locally",
        )


def _for_cards(cards: list[str]) -> str:
    return install_command("hub") if cards else ""


def ray(address: str) -> Iterator[Check]:
    if absent(["ray"]):
        yield Check(
            name="Ray",
            state="absent",
            found="not installed: runs are done by processes of this machine",
            cure=install_command("cluster"),
        )
        return
    whole = is_whole_ray()
    found = f"{version('ray')}, {'with' if whole else 'without'} dashboard, job server and metrics"
    yield required("Ray", whole, found, install_command("cluster"), otherwise="warning")
    if address and address not in ("auto", "local"):
        host, _, port = address.removeprefix("ray://").rpartition(":")
        up = _listens(host, int(port)) if port.isdigit() else False
        found = f"{address} {'answers' if up else 'does not answer'}"
        yield required(
            "Ray cluster", up, found, "start it, `ray start --head`, or give the address of its head, HOST:6379"
        )


def is_whole_ray() -> bool:
    """Whether `ray[default]` is installed: a head of bare Ray has no dashboard, job server or metrics."""
    brought = [Requirement(line) for line in requires("ray") or ()]
    of_default = [one for one in brought if one.marker is not None and one.marker.evaluate({"extra": "default"})]
    return all(_is_installed(one.name) for one in of_default)


def prefect() -> Iterator[Check]:
    from prefect.settings import PREFECT_HOME

    home = Path(PREFECT_HOME.value())
    writable = is_writable(home)
    found = f"{version('prefect')}, home {home}" + ("" if writable else " cannot be written")
    yield required("Prefect", writable, found, "set PREFECT_HOME to a folder that can be written")


def prefect_server() -> Iterator[Check]:
    """The server that the environment or Prefect's own profile names. Raises what `check_reachable` raises."""
    from prefect.settings import PREFECT_API_URL

    if not (url := PREFECT_API_URL.value()):
        yield Check(name="Prefect server", state="ok", found="none is set: each run has a temporary one of its own")
        return
    check_reachable(url)
    yield Check(name="Prefect server", state="ok", found=f"{masked(url)} answers")


def cache() -> Iterator[Check]:
    folder = cache_folder()
    writable = is_writable(folder)
    found = f"{folder}" + ("" if writable else " cannot be written")
    yield required("model cache", writable, found, "set FLD_CACHE to a folder that can be written and has 500 MB free")


def disk(root: str) -> Iterator[Check]:
    places = {"cache": cache_folder(), "temporary files": Path(tempfile.gettempdir())}
    if root and "://" not in root:
        places["root"] = Path(root)
    for what, place in places.items():
        free = shutil.disk_usage(existing(place)).free
        found = f"{free / 1e9:.1f} GB free at {place}"
        cure = "free some space, or choose another disk (FLD_CACHE, TMPDIR, --root)"
        yield required(f"disk of {what}", free >= LITTLE_BYTES, found, cure, otherwise="warning")


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=ANSWER_LIMIT_S):
            return True
    except OSError:
        return False


def _answer(command: list[str]) -> str:
    """What a command prints; nothing where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEVICES_LIMIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
