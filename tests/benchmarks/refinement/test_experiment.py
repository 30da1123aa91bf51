"""The benchmark in small: real training on Ray, the real flow, one plain shape an image, and a smaller target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import ray

from benchmarks.refinement.base import BasePlan, base_checkpoint
from benchmarks.refinement.experiment import Experiment, ExperimentPlan
from benchmarks.refinement.scenes import PlainWorld

pytestmark = [
    pytest.mark.long(minutes=4),
    pytest.mark.timeout(2400),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # Ray warns of itself
]
WORLD = PlainWorld(48)
PLAN = ExperimentPlan(num_images=100, num_gold=120, num_test=40, max_things=1, num_rounds=1, num_steps=40)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder, seconds = base_checkpoint(tmp_path, BasePlan(max_things=1, num_scenes=1500, num_steps=600), WORLD)
    ray.shutdown()  # the commands of the flow have clusters of their own
    assert seconds > 0
    assert base_checkpoint(tmp_path, BasePlan(max_things=1, num_scenes=1500, num_steps=600), WORLD) == (folder, 0.0)
    return folder


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the benchmark trains on two workers, one a core")
def test_a_round_repairs_labels_and_sabotage_is_refused(base: Path, tmp_path: Path) -> None:
    experiment = Experiment(PLAN, WORLD, base, tmp_path / "experiment", seed=3)
    outcome = experiment.run()
    before, after = outcome.rounds
    print(before, after, outcome.students, outcome.seconds, sep="\n")
    assert after.f1 - before.f1 >= 0.05
    assert after.num_edits > 20
    assert after.edit_precision >= 0.7
    assert after.repaired["swapped"] >= 0.5
    assert after.damaged < 0.05
    (regions, _) = outcome.records[1].gates
    assert regions.accepted
    controls = experiment.without_filter()
    assert set(controls) == {"no_filter", "replaced"}
    assert experiment.sabotaged()
