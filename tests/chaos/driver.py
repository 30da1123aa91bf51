"""A driver of the chaos table: brings a root to its end, from wherever it stands; `python -m tests.chaos.driver`.

Moments are counted while the named stage is at work.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.flows.report import make_report
from fld_engine.flows.root import keep_config
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.schemas.errors import FldError
from tests.roots import fake_config

ROLES = ("driver", "worker")
REFINE: dict[str, Any] = {
    "student": {"preset": "tiny"},
    "training": {"num_steps": 4, "batch_images": 2, "warmup_steps": 1, "checkpoint_steps": 2, "log_steps": 2},
    "rules": {"gate": {"min_images": 3}, "in_sample": True},
    "max_answer_tokens": 8,
}
WHOLE_RUN: dict[str, Callable[[Pipeline], object]] = {
    "ingest": lambda pipeline: pipeline.run(Ingest()),
    "annotate": lambda pipeline: pipeline.run(Annotate()),
    "filter": lambda pipeline: pipeline.run(Filter()),
    "coverage": lambda pipeline: pipeline.run(Coverage()),
    "export": lambda pipeline: pipeline.run(Export()),
}
"""What every run does, in order."""
LATER = ("report", "refine", "removal")
"""What has a command of its own, here on a root that is exported."""


def refine(pipeline: Pipeline) -> None:
    """A round of a student, trained on Ray whatever the runner is."""
    loop = Loop(pipeline, pipeline.config.section("refine", RefineConfig))
    loop.final([first := loop.initial_round(), loop.round(1, first)])


def steps_of(stage: str, image_id: str) -> dict[str, Callable[[Pipeline], object]]:
    """What the command does that a stage belongs to."""
    later = {"report": make_report, "refine": refine, "removal": lambda pipeline: pipeline.run(Remove([image_id]))}
    return {stage: later[stage]} if stage in LATER else WHOLE_RUN


def config_of(photographs: str, runner: dict[str, Any]) -> RunConfig:
    source = {"url": f"{photographs}/labels.json", "name": "labelled", "licence": "CC-BY-4.0"}
    return fake_config(photographs, sources=[source], runner=runner, refine=REFINE)


@contextmanager
def counting(folder: Path, stage: str) -> Iterator[None]:
    """Moments count meanwhile. How many there were is the size of `STAGE.driver` and `STAGE.worker`."""
    for role in ROLES:
        (folder / f"{role}.count").write_bytes(b"")
    yield
    for role in ROLES:
        (folder / f"{role}.count").rename(folder / f"{stage}.{role}")


def copy_root(root: Path, to: Path | str) -> None:
    """Copy a root as it stands, without its lease, to a folder or a URL."""
    if isinstance(to, Path):
        shutil.copytree(root, to, dirs_exist_ok=True, ignore=shutil.ignore_patterns("lease.*"))
        return
    store = Store(to)
    for path in root.rglob("*"):
        if path.is_file() and not path.match("lease.*"):
            store.write_bytes(path.relative_to(root).as_posix(), path.read_bytes())


@contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster whose head has no room, and two nodes with room for one worker each."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        yield cluster.address
    finally:
        ray.shutdown()
        cluster.shutdown()


def main(order: dict[str, str]) -> None:
    """`order` names `root`, `folder` (for counts), `photographs`, `stage`, `image_id`, and `runner`.

    Without a stage it is a survey: every stage counts, and the root is copied to `folder/before` before each. Runner
    `nodes` is a Ray cluster of its own, with a worker on one of its two nodes.
    """
    kind, stage, folder = order["runner"], order["stage"], Path(order["folder"])
    with two_nodes() if kind == "nodes" else nullcontext("") as address:
        runner = {
            "kind": "ray" if kind == "nodes" else kind,
            "ray_address": address,
            "workers": 2 if kind == "local" else 1,
        }
        store = Store(order["root"])
        store.open_root(create=True)
        pipeline = Pipeline(store, config_of(order["photographs"], runner))
        early = stage == "removal"  # one that was begun goes on when a root is opened
        with counting(folder, stage) if early else nullcontext(), pipeline:
            keep_config(pipeline.store, config_of(order["photographs"], {}))
            pipeline.preflight()
            for name, do in steps_of(stage, order["image_id"]).items():
                if not stage and pipeline.store.local:
                    copy_root(Path(order["root"]), folder / "before" / name)
                with counting(folder, name) if stage in ("", name) and not early else nullcontext():
                    do(pipeline)


if __name__ == "__main__":
    try:
        main(json.loads(sys.argv[1]))
    except (FldError, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
