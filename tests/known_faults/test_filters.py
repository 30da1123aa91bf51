"""What a run says of its filters, where there are none."""

from __future__ import annotations

from pathlib import Path

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.plan import make_plan
from tests.roots import fake_config


def test_without_filters_every_score_passes(tmp_path: Path) -> None:
    """Nothing drops a region, so the lowest score that is kept is 0, and a describer that starts at 0.3 misses some.

    Told 1.0, a user hears of no gap: regions are exported that no describer has seen.
    """
    annotators = {"finder": {"use": "fake"}, "describer": {"use": "composed-describer"}}
    config = fake_config(tmp_path, annotators=annotators).model_copy(update={"filters": {}})
    plan = make_plan(Store(str(tmp_path / "root")), config, [])
    assert config.annotators["describer"].work_set.min_score > 0
    assert plan.blind_annotators() == (0.0, ["describer"])
