"""Hours of a plan on nodes that are there or only on paper."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import parse_config
from fld_engine.engine.plan.estimate import estimate
from fld_engine.engine.plan.plan import make_plan
from fld_engine.engine.plan.protocols import Resources
from fld_engine.schemas.errors import RunnerError

NODE = Resources(cpus=16, gpus=8, memory_mb=100_000)


def plan_of(tmp_path: Path):
    """Two detectors on half a GPU each, in one group, and a parser on the processor."""
    gpu = {"cpus": 1, "gpus": 0.5, "memory_mb": 1000}
    annotators = {
        "first": {"use": "fake", "resources": gpu},
        "second": {"use": "fake", "resources": gpu},
        "parser": {"use": "spacy-parser"},
    }
    return make_plan(Store(str(tmp_path)), parse_config({"annotators": annotators}, where="test"), [])


def test_hours_are_images_times_seconds_over_the_workers_that_fit(tmp_path: Path) -> None:
    images = {"first": 3_600_000, "second": 3_600_000, "parser": 3_600_000}
    rates = {"first": 100.0, "second": 50.0, "parser": 1000.0}
    by_names = {lane.annotators: lane for lane in estimate(plan_of(tmp_path), images, rates, [NODE] * 8)}
    gpu = by_names["first", "second"]
    # one worker: 1/100 + 1/50 = 0.03 s an image, 3.6 M images in 30 h; 16 halves of a GPU on each of 8 nodes
    assert gpu.seconds_per_image == pytest.approx(0.03)
    assert gpu.workers == 128
    assert gpu.worker_hours == pytest.approx(30.0)
    assert gpu.gpu_hours == pytest.approx(15.0)
    assert gpu.hours == pytest.approx(30.0 / 128)
    parser = by_names[("parser",)]
    assert (parser.workers, parser.gpu_hours, parser.hours) == (128, 0.0, pytest.approx(1.0 / 128))


def test_an_unknown_rate_is_named_and_not_guessed(tmp_path: Path) -> None:
    images = {"first": 10, "second": 10, "parser": 0}
    lanes = estimate(plan_of(tmp_path), images, {"first": 100.0}, [NODE])
    gpu, parser = sorted(lanes, key=lambda lane: lane.annotators)
    assert (gpu.unknown, gpu.hours, gpu.worker_hours) == (("second",), None, None)
    assert (parser.unknown, parser.hours) == ((), 0.0), "nothing to do takes no time, whatever the rate"


def test_a_worker_that_fits_no_node_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="no node has that"):
        estimate(plan_of(tmp_path), dict.fromkeys(("first", "second", "parser"), 1), {}, [Resources(cpus=4)])
