"""`make fetch-chaos`: a long list of a hostile web, whose fetch is killed again and again.

Every address has to be asked once (but for what was under way at a kill, and what settings try again), and the root has
to end with the same bytes as one whose fetch nobody disturbed. Prints what was found, and exits with 1 where it is not
so.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fetching import FRIENDLY, HOSTILE, REPOSITORY, TRIED_AGAIN, TRIES, addresses, asked, digests, hostile_web

IN_FLIGHT = 64


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="make fetch-chaos", description=__doc__)
    parser.add_argument("--addresses", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="fld-fetch-chaos-"))
    with hostile_web(folder / "web") as (web, log):
        urls = addresses(web, given.addresses)
        list_ = folder / "list.tsv"
        list_.write_text("".join(f"{url}\tcaption {number}\n" for number, url in enumerate(urls)))
        began = time.monotonic()
        killed = _killed(list_, folder / "killed", log, given)
        print(f"killed {killed} times and done after {time.monotonic() - began:.0f} s", flush=True)
        told = _asked_twice(log, web, urls, killed * IN_FLIGHT * given.workers)
        _run(list_, folder / "whole", given.workers).wait()
        same = digests(folder / "killed") == digests(folder / "whole")
        print(f"bytes: {'the same' if same else 'OTHERS'}, {len(digests(folder / 'whole'))} files in {folder}")
        print("verdict: " + ("as wanted" if same and not told and killed == given.kills else "NOT as wanted"))
        return 0 if same and not told and killed == given.kills else 1


def _killed(list_: Path, root: Path, log: Path, given: argparse.Namespace) -> int:
    """Fetch, killed at moments that the seed draws; returns how often that was."""
    draw, killed = random.Random(given.seed), 0
    moments = sorted(draw.uniform(0, given.addresses) for _ in range(given.kills))
    while True:
        driver = _run(list_, root, given.workers)
        while driver.poll() is None:
            at = log.stat().st_size / 22 if log.exists() else 0  # a line has about so many bytes
            if killed < given.kills and at > moments[killed]:
                os.killpg(driver.pid, signal.SIGKILL)
                killed += 1
                print(f"killed after about {at:.0f} requests", flush=True)
                break
            time.sleep(0.01)
        if driver.wait() == 0:
            return killed
        if driver.returncode != -signal.SIGKILL:
            raise SystemExit(f"the driver ended with {driver.returncode}")


def _run(list_: Path, root: Path, workers: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.fetching", str(list_), str(root), str(workers)]
    return subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)


def _asked_twice(log: Path, web: str, urls: Sequence[str], under_way: int) -> str:
    """What is wrong with how often addresses were asked; empty where nothing is."""
    times = asked(log)
    kinds = {url: next(k for k in (*HOSTILE, *FRIENDLY) if url.startswith(f"{web}/{k}")) for url in urls}
    allowed = {url: TRIES if kind in TRIED_AGAIN else 1 for url, kind in kinds.items()}
    more = sum(max(0, times[url.removeprefix(web)] - allowed[url]) for url in urls)
    never = [url for url in urls if not times[url.removeprefix(web)]]
    print(f"asked: {times.total()} requests, {more} more than wanted, of {under_way} that kills may cost", flush=True)
    if never:
        return f"{len(never)} addresses were never asked"
    return "too many addresses were asked again" if more > under_way else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
