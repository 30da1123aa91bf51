"""What is seen from outside of the memory that processes of this machine take."""

from __future__ import annotations

from pathlib import Path

import psutil


def peak_memory_mb(pid: int) -> int:
    """The most memory that a process has held until now, or holds now where the system does not note peaks.

    In MiB; 0 for a process that is gone.
    """
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) // 2**10
    except OSError:
        pass
    try:
        return int(psutil.Process(pid).memory_info().rss) // 2**20
    except psutil.Error:
        return 0


class OomKills:
    """Tells processes that the kernel killed for want of memory from others that were ended by SIGKILL, too.

    The kernel counts its kills, in the control group of the process that it kills, and of the whole machine; it does
    not tell which process each was. So one counts for the first process of a group that is lost after it.
    """

    def __init__(self) -> None:
        self._claimed: dict[Path, int] = {}

    def count(self, pid: int) -> tuple[Path, int]:
        """Where kills of this process would be counted, and how many were until now."""
        counter = _counter_of(pid)
        return counter, _read(counter)

    def claim(self, before: tuple[Path, int]) -> bool:
        """Whether there was a kill since `before` that no other process was ended by."""
        counter, num = before
        accounted = max(num, self._claimed.get(counter, 0))
        if _read(counter) <= accounted:
            return False
        self._claimed[counter] = accounted + 1
        return True


_MACHINE = Path("/proc/vmstat")
"""Field `oom_kill`: kills for want of memory, of the machine or of any control group (Linux 4.13)."""
_GROUPS = Path("/sys/fs/cgroup")


def _counter_of(pid: int) -> Path:
    """The file with field `oom_kill` that is nearest to a process: its control group's, else the machine's.

    `memory.events` of version 2 (Linux 4.13), `memory.oom_control` of version 1 (4.17). In a container the path of a
    group may be that outside, and what is mounted the group itself.
    """
    try:
        lines = [line.split(":", 2) for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines()]
    except (OSError, ValueError):
        lines = []
    for _, controllers, path in lines:
        if "memory" in controllers.split(","):
            folder, name = _GROUPS / "memory", "memory.oom_control"
        elif not controllers:
            folder, name = _GROUPS, "memory.events"
        else:
            continue
        for counter in (folder / path.strip("/") / name, folder / name):
            if counter.exists():
                return counter
    return _MACHINE


def _read(counter: Path) -> int:
    """Kills by a counter; 0 where the system does not count."""
    try:
        fields = dict(line.split() for line in counter.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(fields.get("oom_kill", 0))
