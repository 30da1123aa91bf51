"""What a root has cost: measured by every run, also one that fails, and never made up for what was not measured."""

from __future__ import annotations

import io
import json
import time

import pytest
from rich.console import Console

from fld_engine.engine.data.costs import Cost
from fld_engine.engine.data.store import Store
from fld_engine.engine.inspect.costs import read_costs
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.run.meter import Meter
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.report.stage import Report
from fld_engine.flows.attempts import recorded
from fld_engine.flows.costs import print_costs
from fld_engine.flows.report import read_runs
from fld_engine.flows.summary import RunSummary, make_summary
from tests.roots import fake_config, opened, write_photographs

pytestmark = pytest.mark.long

NUM_IMAGES = 6


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Plan]:
    """A root whose only run failed after its report."""
    folder = tmp_path_factory.mktemp("costs")
    write_photographs(folder / "photos", NUM_IMAGES)
    config = fake_config(folder / "photos")
    seconds: dict[str, float] = {}
    with opened(folder / "root", config) as pipeline:

        def summary() -> RunSummary:
            return make_summary(config, "root", NUM_IMAGES, pipeline.work, (0, 0), 0, seconds, pipeline.meter.costs)

        def run_and_fail() -> None:
            with recorded(pipeline, time.time(), summary):
                for stage in (Ingest(), Annotate(), Filter(), Coverage(), Report()):
                    pipeline.run(stage)
                raise ConnectionError("the network is gone")

        with pytest.raises(ConnectionError):
            run_and_fail()
    return pipeline.store, pipeline.plan()


def test_a_run_that_failed_has_its_costs_in_the_history(failed: tuple[Store, Plan]) -> None:
    (attempt,) = json.loads(failed[0].read_bytes("run.json"))
    costs = attempt["summary"]["costs"]
    assert list(costs["stages"]) == ["ingest", "annotate", "filter", "coverage", "report"]
    assert costs["specialists"]["first"]["images"] == NUM_IMAGES
    read = costs["stages"]["annotate"]["read_bytes"], costs["stages"]["annotate"]["written_bytes"]
    assert read == (0, 0), "what the specialists read and wrote is theirs"


def test_costs_of_specialists_and_stages_add_up_and_are_divided_by_what_is_kept(failed: tuple[Store, Plan]) -> None:
    store, plan = failed
    found = read_costs(plan, read_runs(store))
    parts = [line.cost for line in found.specialists.values() if line.cost] + list(found.stages.values())
    assert found.total.cost is not None
    assert found.total.cost.cpu_s == pytest.approx(sum(cost.cpu_s for cost in parts))
    assert found.total.cost.written_bytes == sum(cost.written_bytes for cost in parts)
    kept = {
        name: sum(
            row["count"]
            for record in plan.partitions
            for row in _counted(store, plan, record.id)
            if (row["measure"], row["label"], row["by"]) == ("verdict", "kept", name) and row["family"] != "images"
        )
        for name in ("first", "second")
    }
    assert {name: line.kept for name, line in found.specialists.items()} == kept
    assert found.total.kept == sum(kept.values()) > 0
    assert found.total.per_kept is not None
    assert found.total.per_kept.cpu_s * found.total.kept == pytest.approx(found.total.cost.cpu_s)


def test_what_was_not_measured_is_said_and_nothing_is_divided(failed: tuple[Store, Plan]) -> None:
    """As in a root of version 0.1.0, and in one that later runs have gone on with."""
    store, plan = failed
    (attempt,) = read_runs(store)
    old = {**attempt, "summary": {key: value for key, value in attempt["summary"].items() if key != "costs"}}
    found = read_costs(plan, [old])
    assert found.total.cost is None
    assert found.specialists["first"].unmeasured == NUM_IMAGES
    told = _printed(plan, [old])
    assert "not measured" in told
    assert "outputs of versions before" in told
    later = {"summary": {"costs": {"specialists": {"first": {"cpu_s": 3, "images": 2}}}}}
    found = read_costs(plan, [old, later])
    assert found.specialists["first"].cost is not None
    assert (found.specialists["first"].unmeasured, found.specialists["first"].per_kept) == (NUM_IMAGES - 2, None)
    assert found.total.per_kept is None
    assert f"2 of {NUM_IMAGES}" in _printed(plan, [old, later])


def test_training_is_counted_by_the_cores_and_gpus_of_all_its_workers() -> None:
    meter = Meter()
    meter.held("training", Resources(cpus=4, gpus=2), 30.0)
    meter.held("training", Resources(cpus=1), 5.0)
    assert meter.costs.stages == {"training": Cost(cpu_s=125, gpu_s=60)}


def _printed(plan: Plan, runs: list[dict[str, object]]) -> str:
    stream = io.StringIO()
    print_costs(Console(file=stream, width=200), read_costs(plan, runs))
    return stream.getvalue()


def _counted(store: Store, plan: Plan, partition: str) -> list[dict[str, object]]:
    record = json.loads(store.read_bytes(f"stages/report/{partition}-{plan.fingerprints['report', partition]}.json"))
    rows: list[dict[str, object]] = store.read_table(record["files"]["counts"]["path"]).to_pylist()
    return rows
