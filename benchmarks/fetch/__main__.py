"""Addresses per second and memory of stage fetch beside img2dataset, on one local server, in one run.

    python -m benchmarks.fetch --beside /path/to/python-with-img2dataset --addresses 10000 --repeats 3

Each round fetches the same list with both, one after another, from a cold start: one worker process and as many
requests at once. img2dataset keeps the bytes as they are (`--disable_all_reencoding True`, which alone does). Memory is
the most that all processes of a contender held together, in proportional shares. A result counts only where every image
is there with its very bytes, and every address has its row. Exits with 1 where ours is slower than 0.8 times the other,
takes more memory, or is not exact.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import pyarrow.parquet as pq

from benchmarks.fetch.server import picture

LEAST_SHARE = 0.8
OURS = """
import sys
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import parse_config
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.fetch.stage import Fetch
if __name__ == "__main__":
    list_, root, at_once = sys.argv[1:]
    fetch = {"allow_networks": ["127.0.0.1"], "connections": int(at_once), "per_host": int(at_once)}
    source = {"url": list_, "name": "web", "kind": "addresses", "fetch": fetch}
    config = parse_config({"sources": [source], "runner": {"workers": 1}}, where="benchmark")
    store = Store(root)
    store.open_root(create=True)
    with Pipeline(store, config) as pipeline:
        pipeline.run(Fetch())
"""


class Result(NamedTuple):
    seconds: float
    cpu_s: float  # of all its processes: what is left of a comparison on a machine that does other work
    peak_mb: float
    exact: int  # images that are there with their very bytes
    rows: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--beside", required=True, help="a Python that has img2dataset")
    parser.add_argument("--addresses", type=int, default=10_000)
    parser.add_argument("--bytes", type=int, default=60_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fld-fetch-") as name:
        folder = Path(name)
        server = subprocess.Popen([sys.executable, "-m", "benchmarks.fetch.server", name, str(given.bytes)])
        try:
            while not (folder / "port").exists():
                time.sleep(0.05)
            return compare(folder, (folder / "port").read_text(), given)
        finally:
            server.kill()
            server.wait()


def compare(folder: Path, port: str, given: argparse.Namespace) -> int:
    paths = [f"/{'gone' if number % 5 == 4 else 'image'}/{number}.jpg" for number in range(given.addresses)]
    list_ = folder / "list.csv"
    list_.write_text("url\n" + "".join(f"http://127.0.0.1:{port}{path}\n" for path in paths))
    (folder / "ours.py").write_text(OURS)
    body = picture(given.bytes)
    wanted = {hashlib.sha256(body + path.encode()).hexdigest() for path in paths if not path.startswith("/gone")}
    contenders: dict[str, Callable[[Path], list[str]]] = {
        "fld fetch": lambda out: [sys.executable, str(folder / "ours.py"), str(list_), str(out), str(given.at_once)],
        "img2dataset": lambda out: [
            str(Path(given.beside).with_name("img2dataset")),
            "--url_list", str(list_), "--output_folder", str(out), "--input_format", "csv", "--url_col", "url",
            "--output_format", "webdataset", "--processes_count", "1", "--thread_count", str(given.at_once),
            "--disable_all_reencoding", "True", "--enable_wandb", "False", "--retries", "0",
        ],
    }  # fmt: skip
    found: dict[str, list[Result]] = {name: [] for name in contenders}
    for round_ in range(given.repeats):
        for number, (name, command) in enumerate(contenders.items()):
            out = folder / f"{round_}-{number}"
            result = measured(command(out), out, wanted)
            found[name].append(result)
            print(
                f"{name}: {given.addresses / result.seconds:.0f} addresses/s, {result.cpu_s:.1f} s of a core, "
                f"{result.peak_mb:.0f} MB, "
                f"{result.exact} of {len(wanted)} images exact, {result.rows} of {given.addresses} rows",
                flush=True,
            )
    rates = {name: statistics.median(given.addresses / one.seconds for one in of) for name, of in found.items()}
    memory = {name: statistics.median(one.peak_mb for one in of) for name, of in found.items()}
    for name in contenders:
        print(f"median {name}: {rates[name]:.0f} addresses/s, {memory[name]:.0f} MB")
    share, more = rates["fld fetch"] / rates["img2dataset"], memory["fld fetch"] / memory["img2dataset"]
    cpu = {name: statistics.median(one.cpu_s for one in of) for name, of in found.items()}
    print(f"rate {share:.2f} x, memory {more:.2f} x, time of cores {cpu['fld fetch'] / cpu['img2dataset']:.2f} x")
    exact = all(one.exact == len(wanted) and one.rows == given.addresses for one in found["fld fetch"])
    good = share >= LEAST_SHARE and more <= 1 and exact
    print("verdict: " + ("as wanted" if good else f"NOT as wanted: rate >= {LEAST_SHARE}, memory <= 1, exact: {exact}"))
    return 0 if good else 1


def measured(command: list[str], out: Path, wanted: set[str]) -> Result:
    """Run a contender from a cold start, and look at all that it left."""
    environment = {**os.environ, "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}
    log = out.with_suffix(".log")
    began, before = time.monotonic(), os.times()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, env=environment, stdout=stream, stderr=stream)
        peak = [0.0]
        watch = threading.Thread(target=watch_memory, args=(process, peak), daemon=True)
        watch.start()
        code = process.wait()
    seconds = time.monotonic() - began
    watch.join()
    after = os.times()
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    if code:
        raise SystemExit(f"{command[0]} ended with {code}: {log.read_text()[-2000:]}")
    held: set[str] = set()
    for path in sorted(out.rglob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                if member.name.endswith((".jpg", ".jpeg")):
                    data = tar.extractfile(member)
                    assert data is not None, f"{member.name} is no file"
                    held.add(hashlib.sha256(data.read()).hexdigest())
    tables = [path for path in out.rglob("*.parquet") if path.stem.isdigit()]
    rows = sum(pq.read_metadata(path).num_rows for path in tables)
    return Result(seconds, cpu_s, peak[0], len(held & wanted), rows)


def watch_memory(process: subprocess.Popen[bytes], peak: list[float]) -> None:
    """The most that a process and all that it started held together."""
    while process.poll() is None:
        total = 0.0
        try:
            root = psutil.Process(process.pid)
            for one in (root, *root.children(recursive=True)):
                try:
                    total += one.memory_full_info().pss / 2**20
                except psutil.Error:
                    continue
        except psutil.Error:
            return
        peak[0] = max(peak[0], total)
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
