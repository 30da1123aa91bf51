"""What a run tells of itself: the right counts, under names that the dashboard and the documents know, and no harm."""

from __future__ import annotations

import logging
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fld_engine.engine.data.costs import Cost, Costs, add_costs
from fld_engine.engine.data.records import FileRecord, OutputRecord
from fld_engine.engine.plan.config import RunnerConfig
from fld_engine.engine.plan.limits import Limits
from fld_engine.engine.plan.protocols import Resources
from fld_engine.engine.plan.tasks import Lane, Span, Spent, Task
from fld_engine.engine.run.exporter import exporter_of
from fld_engine.engine.run.messages import Committed, Done, Lost, Progress
from fld_engine.engine.run.meter import Meter
from fld_engine.engine.run.metrics import METRICS, ROOT, Metric, reference
from fld_engine.engine.run.supervisor import Supervisor
from tests.dashboard import SERIES, expressions, labels_of
from tests.engine.run.test_supervisor import Machine, Nothing
from tests.waiting import PATIENCE_S

PAGE = Path(__file__).parents[3] / "docs/watching.md"
TWO_GPUS = Resources(cpus=4, gpus=2, memory_mb=100)


class Ledger:
    """A sink that keeps what it is told: sums of counters, last values of gauges, all values of histograms."""

    def __init__(self) -> None:
        self.sums: Counter[tuple[str, ...]] = Counter()
        self.values: dict[tuple[str, ...], list[float]] = {}

    def add(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        assert tuple(labels) == (ROOT, *metric.labels)
        key = (metric.name, *(labels[name] for name in metric.labels))
        self.sums[key] += value
        self.values.setdefault(key, []).append(value)

    def close(self) -> None: ...


class Full(Ledger):
    """A sink that cannot take anything."""

    def add(self, metric: Metric, labels: Mapping[str, str], value: float) -> None:
        raise OSError(28, "No space left on device")


def output(**counts: int) -> OutputRecord:
    status = FileRecord(path="status", rows=0, num_bytes=0, sha256="")
    return OutputRecord(step="first", partition="p0", fingerprint="f", files={"status": status}, **counts)


def supervised(meter: Meter, *script: list[object]) -> None:
    """A lane of one worker with two GPUs does one task; `script` is what the worker says at each attempt."""
    task = Task(stage="export", root="memory://root", label="p0", units={"first": 10}, payload=Nothing())
    lanes = [Lane(name="first", resources=TWO_GPUS, tasks=[task])]
    list(Supervisor(Machine(script), Limits(), meter=meter).run(lanes))


def test_every_expression_of_the_dashboard_names_metrics_that_there_are() -> None:
    known = {series: {ROOT, *metric.labels} for metric in METRICS for series in metric.series}
    drawn = set()
    for expression in expressions():
        series = set(SERIES.findall(expression))
        assert series, expression
        assert series <= known.keys(), expression
        labels = set.intersection(*(known[name] for name in series)) | {"le", "__name__"}
        assert labels_of(expression) <= labels, expression
        assert len(re.findall(r"fld_\w+", expression)) == len(SERIES.findall(expression)), expression
        drawn |= series
    assert {metric.name for metric in METRICS if not drawn & set(metric.series)} == set(), "told, and drawn nowhere"


def test_the_documents_list_every_metric() -> None:
    """To mend it: `python -c "from fld_engine.engine.run.metrics import reference; print(reference())"`."""
    assert reference() in PAGE.read_text(encoding="utf-8")


def test_what_a_worker_says_is_counted_once() -> None:
    """The attempt that was lost had committed nothing; a replay takes over what was done before."""
    meter, ledger = Meter("s3://key:secret@bucket/root"), Ledger()
    meter.tell(ledger, ["first"])
    span = Span(step="first", start=0, stop=10)
    spent = Spent(images_annotated=3, held_s=0.5, questions=7, read_bytes=30, written_bytes=20, models_loaded=1)
    committed = Committed(output=output(done=8, failed=1, not_run=1), spent=spent)
    supervised(
        meter,
        [Progress(span=span, finished=4, batch_s=(0.1, 0.2)), Lost(cause="memory")],
        [Progress(span=span, finished=10), committed, Done(spent=Spent(held_s=0.6, read_bytes=90, written_bytes=25))],
    )
    assert [ledger.sums["fld_images", "first", state] for state in ("done", "failed", "not_run")] == [3, 1, 1]
    assert ledger.values["fld_batch_seconds", "first"] == [0.1, 0.2]
    assert ledger.sums["fld_units", "first"] == 14
    assert (ledger.sums["fld_attempts_lost", "first", "memory"], ledger.sums["fld_tasks", "export"]) == (1, 1)
    assert (ledger.sums["fld_read_bytes", "export"], ledger.sums["fld_written_bytes", "export"]) == (90, 25)
    assert (ledger.sums["fld_questions", "first"], ledger.sums["fld_specialist_seconds", "first"]) == (7, 0.5)
    assert ledger.sums["fld_cpu_seconds", "first"] == pytest.approx(2 * ledger.sums["fld_gpu_seconds", "first"])
    of_first, rest = meter.costs.specialists["first"], meter.costs.stages["export"]
    assert (of_first.cpu_s, of_first.gpu_s, of_first.questions, of_first.images) == (2.0, 1.0, 7, 10)
    assert (of_first.read_bytes, rest.read_bytes) == (30, 60), "what no specialist accounts for is the stage's"


def test_gauges_say_what_lanes_and_workers_are_at_and_fall_to_nothing_at_the_end() -> None:
    meter, ledger = Meter(), Ledger()
    meter.tell(ledger)
    supervised(meter, [Done()])
    meter.look((), ())
    assert ledger.values["fld_workers_wanted", "first"][0] == 1
    assert {key[0] for key, values in ledger.values.items() if key[1:] == ("first",) and values[-1] == 0} >= {
        "fld_queue", "fld_workers_wanted", "fld_workers_waiting", "fld_workers_alive", "fld_workers_busy",
    }  # fmt: skip


def test_a_sink_that_fails_is_left_out_and_the_run_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    meter, ledger = Meter(), Ledger()
    meter.tell(Full())
    meter.tell(ledger)
    with caplog.at_level(logging.WARNING):
        supervised(meter, [Done()])
    assert ledger.sums["fld_tasks", "export"] == 1
    assert [record.message for record in caplog.records].count(
        "metrics are not counted any more: OSError: [Errno 28] No space left on device"
    ) == 1


@pytest.mark.parametrize(
    ("said", "why"), [("taken", "cannot be opened"), ("http", "no port from 1 to 65535"), ("70000", "no port")]
)
def test_a_port_that_cannot_be_had_is_a_sentence(
    said: str, why: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken, caplog.at_level(logging.WARNING):
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("FLD_METRICS_PORT", str(taken.getsockname()[1]) if said == "taken" else said)
        assert exporter_of(RunnerConfig()) is None
        assert why in caplog.text
        assert "The run goes on without" in caplog.text
        assert exporter_of(RunnerConfig(metrics_port=0)) is None, "0 is nowhere, whatever the environment says"


def test_a_cluster_that_is_joined_and_cannot_count_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that was started with bare Ray has no agent: Ray counts into nothing there, without a word of its own."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    from fld_engine.engine.run.ray import RayBackend

    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "here", gcs_address=""))
    elsewhere = {"NodeID": "elsewhere", "MetricsAgentPort": 40525}
    monkeypatch.setattr(ray, "nodes", lambda: [elsewhere, {"NodeID": "here", "MetricsAgentPort": -1}])
    with caplog.at_level(logging.WARNING):
        assert RayBackend("auto").sink() is None
    assert "install fld-engine[cluster] on every node" in caplog.text


def test_costs_of_several_runs_add_up() -> None:
    one = Costs(specialists={"a": Cost(cpu_s=1, images=2)}, stages={"ingest": Cost(cpu_s=4)})
    other = Costs(specialists={"a": Cost(cpu_s=2, gpu_s=1, images=1), "b": Cost(questions=3)})
    assert add_costs([one, other]).specialists["a"] == Cost(cpu_s=3, gpu_s=1, images=3)
    assert add_costs([one, other]).total() == Cost(cpu_s=7, gpu_s=1, questions=3, images=3)


RUN = """
import sys, urllib.request
from pathlib import Path
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.ingest.stage import Ingest
from tests.roots import fake_config, opened, write_photographs

if __name__ == "__main__":
    folder, port = Path(sys.argv[1]), int(sys.argv[2])
    ids = write_photographs(folder / "photos", 9)
    (folder / "photos/broken.jpg").write_bytes(b"no picture")
    first = {"use": "fake", "params": {"raise_on": [ids[4]]}, "batch_size": 3}
    config = fake_config(
        folder / "photos", annotators={"first": first}, limits={"max_failed_share": 1}, runner={"metrics_port": port}
    )
    with opened(folder / "root", config) as pipeline:
        pipeline.run(Ingest())
        pipeline.run(Annotate())
        print(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60).read().decode())
"""


@pytest.mark.long
def test_the_exporter_of_a_real_run_has_the_right_counts(tmp_path: Path) -> None:
    """Nine images in partitions of four; a specialist fails on one, and one file more is no image."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = tmp_path / "run.py"
    script.write_text(RUN)
    repository = Path(__file__).parents[3]
    command = [sys.executable, str(script), str(tmp_path), str(port)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env={"PYTHONPATH": str(repository)}
    )
    assert done.returncode == 0, done.stderr
    told = {
        (sample.name, *(value for name, value in sorted(sample.labels.items()) if name != ROOT)): sample.value
        for family in text_string_to_metric_families(done.stdout)
        for sample in family.samples
    }
    states = [
        told["fld_images_total", name, state] for name in ("first", "second") for state in ("done", "failed", "not_run")
    ]
    assert states == [8, 1, 0, 9, 0, 0]
    assert told["fld_quarantined", "not_an_image"] == 1
    assert told["fld_batch_seconds_count", "second"] == 5, "partitions of four, four and one in batches of two"
    assert told["fld_units_total", "scan"] == 10
    assert told["fld_tasks_total", "annotate"] == 3
    assert told["fld_read_bytes_total", "annotate"] >= sum(
        path.stat().st_size for path in (tmp_path / "photos").glob("photo-*")
    )
    assert told["fld_cpu_seconds_total", "first+second"] >= sum(
        told["fld_specialist_seconds_total", name] for name in ("first", "second")
    )
    names = {metric.name: set(metric.series) for metric in METRICS}
    assert {key[0] for key in told} <= set().union(*names.values())
