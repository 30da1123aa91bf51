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


def num_oom_kills() -> int:
    """Processes that the kernel has killed for want of memory, of the machine or of a control group, since it runs.

    Field `oom_kill` of /proc/vmstat (Linux 4.13 and later); 0 elsewhere.
    """
    try:
        fields = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return int(fields.get("oom_kill", 0))
