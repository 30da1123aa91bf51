"""A worker that was killed: for want of memory only where the kernel says so.

Told to ask for more memory, people whose scheduler, container or colleague killed a process change the wrong thing.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fld_engine.engine.run.memory import OomKills
from tests.waiting import PATIENCE_S

GROUPS = Path("/sys/fs/cgroup")
START = """
import os, sys
from pathlib import Path
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.run.local import LocalBackend

def heard(what, backend, worker):
    while True:
        for _, event in backend.poll([worker], 1.0):
            if event.event == what:
                return event

if __name__ == "__main__":
    procs, home = map(Path, sys.argv[1:])
    backend = LocalBackend(1)
    wanted = Resources(cpus=1, memory_mb=1)  # whatever it does, it holds more
    killed = backend.start(wanted)
    heard("ready", backend, killed)
    killed.process.kill()
    found = heard("lost", backend, killed)
    print(found.cause, found.peak_mb > wanted.memory_mb)
    procs.write_text(str(os.getpid()))  # what is started from here on is in the small group
    starved = backend.start(wanted)
    home.write_text(str(os.getpid()))
    print(heard("lost", backend, starved).cause)
"""


@pytest.fixture
def small_group() -> Iterator[tuple[Path, Path]]:
    """`cgroup.procs` of a control group of 20 MB, and that of the group that this process is in."""
    version_1 = (GROUPS / "memory").is_dir()
    top = GROUPS / "memory" if version_1 else GROUPS
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    mine = next((path for _, what, path in lines if what == ("memory" if version_1 else "")), "/")
    group = top / f"fld-test-{uuid.uuid4().hex[:8]}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if version_1 else "memory.max")).write_text(str(20 << 20))
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield group / "cgroup.procs", top / mine.strip("/") / "cgroup.procs"
    group.rmdir()


@pytest.mark.long
def test_what_killed_a_worker_is_known_by_the_kernel_alone(small_group: tuple[Path, Path], tmp_path: Path) -> None:
    """One is ended by somebody while it holds more than it asked for, the other by the kernel."""
    script = tmp_path / "start.py"
    script.write_text(START)
    command = [sys.executable, str(script), *map(str, small_group)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["process", "True", "memory"]


def test_a_kill_that_is_counted_ends_one_process(tmp_path: Path) -> None:
    """Two that are lost after one kill: the kernel ended one of them, whoever ended the other."""
    counter = tmp_path / "memory.events"
    counter.write_text("oom 5\noom_kill 3\n")
    kills, before = OomKills(), (counter, 3)
    assert not kills.claim(before), "none since"
    counter.write_text("oom 6\noom_kill 4\n")
    assert [kills.claim(before), kills.claim(before)] == [True, False]
    counter.write_text("oom 8\noom_kill 6\n")
    assert [kills.claim((counter, 4)) for _ in range(3)] == [True, True, False]
    assert not kills.claim((tmp_path / "nowhere", 0)), "a system that does not count"


def test_a_process_of_this_machine_has_a_counter() -> None:
    counter, num = OomKills().count(1)
    assert counter.is_file()
    assert num >= 0
