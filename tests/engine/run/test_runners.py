"""Both runners keep the same contract: the same bytes, poison isolated, workers replaced, and no endless wait."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from fld_engine.engine.data.partition import read_output, read_tables
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, RunnerConfig
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.run.logs import FIELDS
from fld_engine.engine.run.pipeline import Pipeline, make_backend
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import RunnerError
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs
from tests.waiting import wait_until

pytestmark = pytest.mark.long(minutes=2)

NUM_IMAGES = 11
RUNNERS = [{"kind": "local", "workers": 2}, {"kind": "ray", "workers": 2}]
runner_kinds = pytest.mark.parametrize("runner", RUNNERS, ids=["local", "ray"])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], dict[str, str]]:
    """Photographs, their ids, and the digest of a run with one local worker."""
    folder = tmp_path_factory.mktemp("undisturbed")
    ids = write_photographs(folder / "photos", NUM_IMAGES)
    run_pipeline(folder / "root", fake_config(folder / "photos"))
    return folder / "photos", ids, digest(folder / "root")


def statuses(pipeline: Pipeline, annotator: str) -> dict[str, tuple[str, str, bool]]:
    """Image id → (status, reason, isolated)."""
    plan = pipeline.plan()
    found = {}
    for record in plan.partitions:
        output = read_output(plan.store, annotator, record.id, plan.fingerprints[annotator, record.id])
        for row in read_tables(plan.store, output)["status"].to_pylist():
            found[row["image_id"]] = (row["status"], row["reason"], row["isolated"])
    return found


@runner_kinds
def test_runner_and_worker_count_do_not_change_a_byte(
    undisturbed: tuple[Path, list[str], dict[str, str]], tmp_path: Path, runner: dict[str, Any]
) -> None:
    photos, _, expected = undisturbed
    run_pipeline(tmp_path / "root", fake_config(photos, runner=runner))
    assert digest(tmp_path / "root") == expected


@runner_kinds
def test_poison_is_failed_alone_and_its_neighbours_go_on(
    undisturbed: tuple[Path, list[str], dict[str, str]],
    tmp_path: Path,
    runner: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    photos, ids, _ = undisturbed
    poison = {"raise_on": [ids[1]], "crash_on": [ids[5]], "hang_on": [ids[9]]}
    annotators = {"first": {"use": "fake", "params": {"regions": 3, **poison}, "batch_size": 3}}
    limits = {"batch_timeout_s": 10}  # no batch of these takes so long, however busy the machine
    config = fake_config(photos, runner=runner, annotators=annotators, limits=limits)
    finished: Counter[str] = Counter()
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.watch = lambda step, now, total: finished.update({step: now})
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        found = statuses(pipeline, "first")
    assert finished["first"] == NUM_IMAGES, "an image that was done again was counted twice"
    assert pipeline.work.failed["first"] == 3
    warned = [
        getattr(record, FIELDS) for record in caplog.records if f"failed on image {ids[1]}" in record.getMessage()
    ]
    assert warned, "what a worker warns of is not in the driver's log"
    assert (warned[0]["stage"], warned[0]["specialist"], warned[0]["images"]) == ("annotate", "first", (ids[1],))
    assert warned[0]["partition"] in {record.id for record in pipeline.plan().partitions}
    assert len(found) == NUM_IMAGES
    assert {i for i, (status, _, _) in found.items() if status == "failed"} == {ids[1], ids[5], ids[9]}
    assert found[ids[1]][1].startswith("ValueError")
    assert found[ids[5]][1] == "killed_worker"
    assert found[ids[9]][1] == "hung_worker"
    healthy = statuses(pipeline, "second")
    assert {status for status, _, _ in healthy.values()} == {"done"}
    assert found[ids[0]][2], "an image that ran apart from its batch is marked"


@runner_kinds
@pytest.mark.parametrize("appears", ["", "stages/second"], ids=["starting", "midway"])
def test_a_killed_worker_is_replaced_and_the_bytes_are_the_same(
    undisturbed: tuple[Path, list[str], dict[str, str]], tmp_path: Path, runner: dict[str, Any], appears: str
) -> None:
    photos, _, expected = undisturbed
    config = fake_config(photos, runner=runner)
    killed: list[int] = []
    store = Store(str(tmp_path / "root"))

    def kill_one() -> None:
        wait_until(lambda: not appears or store.list_names(appears))
        worker = wait_until(lambda: workers(runner["kind"]))[0]
        worker.kill()
        killed.append(worker.pid)

    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Ingest())
        killer = threading.Thread(target=kill_one)
        killer.start()
        pipeline.run(Annotate())
        killer.join()
        pipeline.run(Filter())
        pipeline.run(Coverage())
        pipeline.run(Export())
    assert killed
    assert digest(tmp_path / "root") == expected


def workers(kind: str) -> list[psutil.Process]:
    """Workers that this process has started by now."""
    name, found = {"ray": "RemoteWorker", "local": "spawn_main"}[kind], []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if name in " ".join(process.cmdline()):
                found.append(process)
    return found


@runner_kinds
def test_a_request_that_fits_nowhere_is_an_error_at_once(runner: dict[str, Any]) -> None:
    backend = make_backend(RunnerConfig(**runner))
    with pytest.raises(RunnerError, match="GPU"):
        backend.fit([Resources(gpus=64)])


def test_ray_refuses_a_worker_larger_than_every_node() -> None:
    backend = make_backend(RunnerConfig(kind="ray"))
    with pytest.raises(RunnerError, match="no node has that"):
        backend.fit([Resources(cpus=10_000)])


def test_a_model_that_cannot_load_stops_the_run_with_its_name(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 2)
    annotators = {"first": {"use": "fake", "params": {"load_seconds": 3600}}}
    limits = {"load_timeout_s": 15, "task_retries": 0}  # enough for its process to start, however busy the machine
    config = fake_config(tmp_path / "photos", annotators=annotators, limits=limits)
    with opened(tmp_path / "root", config) as pipeline:
        pipeline.run(Ingest())
        with pytest.raises(RunnerError, match="while loading annotator 'first'"):
            pipeline.run(Annotate())


@pytest.fixture(scope="module")
def two_lanes(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, dict[str, str]]:
    """A config of two lanes, and the digest of a run with one worker."""
    folder = tmp_path_factory.mktemp("lanes")
    write_photographs(folder / "photos", 12)
    annotators = {
        "first": {"use": "fake", "params": {"seconds": 1.0}},  # 12 s: the reader's process has started by then
        "second": {"use": "fake", "params": {"regions": 1}},
        "reader": {"use": "composed-describer", "resources": {"cpus": 0.5, "memory_mb": 400}},
    }
    config = fake_config(folder / "photos", partitions={"max_images": 2}, annotators=annotators)
    with opened(folder / "root", config) as pipeline:
        pipeline.run(Ingest())
        pipeline.run(Annotate())
    return config, digest(folder / "root")


@runner_kinds
def test_lanes_that_fit_side_by_side_run_together_in_the_order_of_the_graph(
    two_lanes: tuple[RunConfig, dict[str, str]], tmp_path: Path, runner: dict[str, Any]
) -> None:
    config = two_lanes[0].model_copy(update={"runner": RunnerConfig(**runner)})
    order: list[str] = []

    def watch(step: str, finished: int, total: int) -> None:
        if finished:
            order.append(step)

    store = Store(str(tmp_path / "root"))
    store.open_root(create=True)
    with Pipeline(store, config, watch) as pipeline:
        pipeline.run(Ingest())
        assert len(pipeline.plan().lanes(Annotate())) == 2
        pipeline.run(Annotate())
    assert "reader" in order[: len(order) - 1 - order[::-1].index("first")], "the reader began before the first ended"
    assert digest(tmp_path / "root") == two_lanes[1]
