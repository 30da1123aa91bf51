"""What a run made, as plain data: returned by the flow, printed by the command line, kept in `run.json`."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Mapping

from pydantic import Field

from fld_engine.engine.data.costs import Costs
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Work
from fld_engine.schemas.annotations import Frozen

RUN_FILE = "run.json"


class RunSummary(Frozen):
    """Numbers of one run of the pipeline: `seconds` by stage, `images_per_s` of one worker by annotator.

    `costs` are those of work that has ended by then; runs before version 0.2 measured none.

    Never part of any table or manifest.
    """

    root: str
    runner: str
    ingested: int
    models_loaded: int
    images_read: int
    outputs_written: int
    num_samples: int
    num_shards: int
    problems: int
    seconds: Mapping[str, float]
    images_per_s: Mapping[str, float] = Field(default_factory=dict)
    costs: Costs | None = None


class Attempt(Frozen):
    """One line of a root's history."""

    started: float
    ended: float
    host: str
    pid: int
    python: str
    summary: RunSummary


def record_attempt(store: Store, started: float, summary: RunSummary) -> None:
    """Append to the root's `run.json`; the only file of a root that knows times and hosts.

    What the same attempt has recorded before is replaced.
    """
    known: list[Attempt] = store.read_model(RUN_FILE, list[Attempt]) if store.exists(RUN_FILE) else []
    history = [a for a in known if (a.started, a.host, a.pid) != (started, socket.gethostname(), os.getpid())]
    attempt = Attempt(
        started=started,
        ended=time.time(),
        host=socket.gethostname(),
        pid=os.getpid(),
        python=sys.version.split()[0],
        summary=summary,
    )
    lines = ",\n".join(a.model_dump_json() for a in [*history, attempt])
    store.publish_bytes(RUN_FILE, f"[{lines}]\n".encode())


def make_summary(
    config: RunConfig,
    root: str,
    ingested: int,
    work: Work,
    export: tuple[int, int],
    problems: int,
    seconds: Mapping[str, float],
    costs: Costs,
) -> RunSummary:
    """`export` is (samples, shards)."""
    return RunSummary(
        root=root,
        runner=config.runner.kind,
        ingested=ingested,
        models_loaded=work.models_loaded,
        images_read=work.images_read,
        outputs_written=work.outputs_written,
        num_samples=export[0],
        num_shards=export[1],
        problems=problems,
        seconds={stage: round(s, 2) for stage, s in seconds.items()},
        images_per_s={name: round(rate, 3) for name, rate in work.rates().items()},
        costs=costs,
    )
