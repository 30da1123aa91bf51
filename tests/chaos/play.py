"""Plays a case of the chaos table: disturbs a run, resumes it, and compares what it has made."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fld_engine.engine.data.lease import LEASE_FILE
from fld_engine.engine.data.store import Store
from tests.chaos.cases import Case
from tests.chaos.driver import copy_root
from tests.chaos.ground import DISK, PAGE, S3, Ground, everything, num_pages
from tests.chaos.starting import Ended

ROOM = "size=256m"
FULL = "No space left on device"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`kills` are those that fell: a moment may lie behind the end of a resumed run. All is well without `wrong`."""

    kills: int
    resumed: bool
    same: bool
    wrong: str = ""


def play(case: Case, ground: Ground, folder: Path) -> Verdict:
    """Leaves nothing behind where all is well; what went wrong stays in `folder` to be looked at."""
    folder.mkdir(parents=True)
    struck: list[Ended] = []
    try:
        if case.victim == DISK:
            with disk(folder / "root", ground.before(case.stage), case.moments[0]) as root:
                struck, found = _fill(case, ground, root, folder)
        else:
            root = f"{ground.bucket}/{folder.name}" if case.runner == S3 else folder / "root"
            copy_root(ground.before(case.stage), root)
            struck, found = _kill(case, ground, root, folder)
    except AssertionError as error:
        return Verdict(len(struck), resumed=False, same=False, wrong=str(error))
    if wrong := differences(ground.ends[case.stage], found):
        return Verdict(len(struck), resumed=True, same=False, wrong=wrong)
    shutil.rmtree(folder)
    return Verdict(len(struck), resumed=True, same=True)


def _kill(case: Case, ground: Ground, root: Path | str, folder: Path) -> tuple[list[Ended], dict[str, str]]:
    """The blows that fell, and what the root holds at last. Raises `AssertionError` where a run does not end well.

    Without a worker or one of two nodes a run goes on by itself; a driver that was killed is started again.
    """
    runner = "nodes" if case.victim == "raylet" else case.runner
    struck: list[Ended] = []
    ended: Ended | None = None
    for moment in case.moments:
        ended = ground.drive(root, folder, case.stage, runner, victim=case.victim, moment=moment)
        if not ended.struck:
            break
        struck.append(ended)
        if case.victim == "driver":
            assert ended.status == -signal.SIGKILL, f"exit {ended.status}:\n{ended.said}"
    if ended is None or ended.status == -signal.SIGKILL:
        ended = ground.drive(root, folder, case.stage, runner)
    assert ended.status == 0, f"exit {ended.status}:\n{ended.said}"
    assert not Store(str(root)).exists(LEASE_FILE), "a lease is left"
    return struck, everything(root)


def _fill(case: Case, ground: Ground, root: Path, folder: Path) -> tuple[list[Ended], dict[str, str]]:
    """As `_kill`, of a run on a disk that is too small: it says so, and nothing else; with room it goes on."""
    first = ground.drive(root, folder, case.stage, case.runner)
    full = first.status != 0
    if full:
        assert first.status == 1, f"exit {first.status}:\n{first.said}"
        assert FULL in first.said, f"it does not say that the disk is full:\n{first.said}"
        subprocess.run(["mount", "-o", f"remount,{ROOM}", root], check=True)
        again = ground.drive(root, folder, case.stage, case.runner)
        assert again.status == 0, f"exit {again.status}:\n{again.said}"
    assert not Store(str(root)).exists(LEASE_FILE), "a lease is left"
    return [first] if full else [], everything(root)


@contextmanager
def disk(root: Path, before: Path, free_pages: int) -> Iterator[Path]:
    """A file system of its own that is a copy of a root, and has so many pages free."""
    root.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", ROOM, "tmpfs", root], capture_output=True, text=True)
    assert mounted.returncode == 0, mounted.stderr
    try:
        copy_root(before, root)
        size = (num_pages(root) + free_pages) * PAGE
        subprocess.run(["mount", "-o", f"remount,size={size}", root], check=True)
        yield root
    finally:
        subprocess.run(["umount", "--lazy", root], check=False)


def why_no_disk(folder: Path) -> str:
    """Why no file system of a chosen size can be had here; empty where it can."""
    if os.geteuid() != 0:
        return "only root may mount a small disk"
    (folder / "nothing").mkdir()
    try:
        with disk(folder / "mounted", folder / "nothing", 1):
            return ""
    except AssertionError as error:
        return f"a small disk cannot be mounted: {error}"


def differences(expected: dict[str, str], found: dict[str, str]) -> str:
    """What is missing, too much, or other than it should be."""
    kinds = {
        "missing": sorted(expected.keys() - found.keys()),
        "too much": sorted(found.keys() - expected.keys()),
        "other bytes": sorted(name for name in expected.keys() & found.keys() if expected[name] != found[name]),
    }
    return "\n".join(f"{kind}: {', '.join(names)}" for kind, names in kinds.items() if names)
