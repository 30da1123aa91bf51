"""A Slurm of two nodes on this machine: munged, slurmctld and two slurmd, all with files and ports of their own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.waiting import PATIENCE_S, wait_until

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue")
CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/%n.pid
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs={cpus} RealMemory=4000
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs={cpus} RealMemory=4000
PartitionName=all Nodes=n1,n2 Default=YES State=UP
"""


def missing() -> str:
    """Why no Slurm can be had here; empty where one can."""
    absent = [program for program in PROGRAMS if not shutil.which(program)]
    if absent:
        return f"{', '.join(absent)} not installed: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "its daemons need root"


@contextmanager
def two_nodes(folder: Path) -> Iterator[Mapping[str, str]]:
    """The variables by which Slurm's commands find it. Daemons end with the context, after the jobs."""
    (folder / "state").mkdir(parents=True)
    ports = []
    with ExitStack() as probes:
        for _ in range(3):
            probe = probes.enter_context(socket.socket())
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=socket.gethostname(), ports=ports, folder=folder, cpus=os.cpu_count()))
    environment = {**os.environ, "SLURM_CONF": str(config)}
    (folder / "munge.key").write_bytes(os.urandom(128))
    (folder / "munge.key").chmod(0o600)
    names = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed", "key-file": "key"}
    munged = ["munged", "--foreground", "--force", *(f"--{one}={folder}/munge.{end}" for one, end in names.items())]
    commands = [munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]]
    daemons = []
    try:
        for number, command in enumerate(commands):
            with (folder / f"daemon-{number}.log").open("wb") as log:
                daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
            if command is munged:
                wait_until((folder / "munge.socket").exists, driver=daemons[0])
        wait_until(lambda: said(environment, "sinfo", "-h", "-o", "%D %t").strip() == "2 idle", driver=daemons[1])
        yield environment
        subprocess.run(["scancel", "--user", "root"], env=environment, check=False, timeout=PATIENCE_S)
        wait_until(lambda: not said(environment, "squeue", "-h"))
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(PATIENCE_S)


def said(environment: Mapping[str, str], *command: str) -> str:
    """What one of Slurm's commands prints; nothing while its server does not answer yet."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    return done.stdout if done.returncode == 0 else ""
