"""Fetching from a hostile web: `python -m tests.fetching LIST ROOT WORKERS` fetches a list into a root.

As a script it is what tests kill. With 0 workers, the tasks run in its own process.
"""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fld_engine.engine.data.store import Store
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.fetch.stage import Fetch
from tests.known_faults.in_process import new_root, plain_config
from tests.waiting import wait_until

REPOSITORY = Path(__file__).parents[1]
TRIES = 2
SETTINGS = {
    "allow_networks": ["127.0.0.0/8"], "connect_s": 20, "total_s": 20, "read_s": 20, "backoff_s": 0.05, "max_mb": 1,
    "retries": TRIES - 1, "shard_rows": 500,
}  # fmt: skip
"""Time enough for a busy machine: what is not answered at all is asked in tests of its own."""
HOSTILE = {
    "status/404": "status_404", "status/403": "status_403", "status/500": "status_500", "html": "not_an_image",
    "empty": "not_an_image", "loop": "redirect_loop", "chain": "too_many_redirects", "private": "private_address",
    "metadata": "private_address", "scheme": "bad_address", "nowhere": "bad_address", "noai": "opted_out",
    "declared": "too_large", "bomb": "too_large", "brotli": "unknown_encoding", "noise": "bad_answer",
    "shorter": "incomplete", "endless": "too_large", "reset": "connection",
    "cut": "incomplete", "garbled": "incomplete",
}  # fmt: skip
"""What a server does → the reason of its row."""
FRIENDLY = ("ok", "once", "redirect", "otherbot", "packed", "longer", "members")
"""What else servers do, and an image comes of it."""
TRIED_AGAIN = {"status/500", "shorter", "reset", "once", "cut", "garbled"}


@contextmanager
def hostile_web(folder: Path) -> Iterator[tuple[str, Path]]:
    """The address of a server in a process of its own, and the file with the paths that it was asked for."""
    folder.mkdir(parents=True)
    server = subprocess.Popen([sys.executable, "-m", "tests.hostile_web", str(folder)], cwd=REPOSITORY)
    try:
        wait_until((folder / "port").exists, driver=server)
        yield f"http://127.0.0.1:{(folder / 'port').read_text()}", folder / "asked"
    finally:
        server.kill()
        server.wait()


def addresses(web: str, number: int, hostile_share: float = 0.4) -> list[str]:
    """Addresses of which so many are hostile, of all kinds by turns."""
    hostile, friendly = itertools.cycle(HOSTILE), itertools.cycle(FRIENDLY)
    made, bad = [], 0.0
    for index in range(number):
        bad += hostile_share
        kind = next(hostile) if bad >= 1 else next(friendly)
        bad -= bad >= 1
        made.append(f"{web}/{kind}{'-' if kind.startswith('status') else '/'}{index}.jpg")
    return made


def config_of(list_: Path, **fetch: Any) -> Any:
    settings: dict[str, Any] = {**SETTINGS, **fetch}
    source = {"url": str(list_), "name": "web", "kind": "cc12m", "fetch": settings}
    return plain_config(source)


def digests(root: Path) -> dict[str, str]:
    """sha256 of every file of what was fetched, and of how far that is."""
    files = [path for folder in ("fetched", "fetching") for path in (root / folder).rglob("*") if path.is_file()]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(files)}


def asked(log: Path) -> Counter[str]:
    return Counter(log.read_text().split())


def fetch(list_: Path, root: Path, workers: int) -> None:
    if not workers:
        new_root(root, config_of(list_)).run(Fetch())
        return
    config = config_of(list_)
    config = config.model_copy(update={"runner": config.runner.model_copy(update={"workers": workers})})
    store = Store(str(root))
    store.open_root(create=True)
    with Pipeline(store, config) as pipeline:
        pipeline.run(Fetch())


if __name__ == "__main__":
    fetch(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
