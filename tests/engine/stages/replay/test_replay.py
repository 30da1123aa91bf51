"""Failed images get another chance, alone; and every annotation can be explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.inspect.explain import explain
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.stages.replay.marks import mark_failed
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs

pytestmark = pytest.mark.long


def test_a_replay_runs_the_failed_images_alone_and_ends_where_an_undisturbed_run_does(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    ids = write_photographs(photos, 6)
    flag = tmp_path / "broken"
    flag.touch()
    annotators = {"first": {"use": "fake", "params": {"regions": 3, "raise_while": str(flag), "raise_on": [ids[2]]}}}
    config = fake_config(photos, annotators=annotators)
    first = run_pipeline(tmp_path / "root", config)
    assert read_status(first.plan(), read_journal(first.store)).annotated["first"].failed == 1
    flag.unlink()
    with opened(tmp_path / "root", config) as pipeline:
        assert mark_failed(pipeline.plan()) == 1
    replayed = run_pipeline(tmp_path / "root", config)
    assert replayed.work.images_read == 1
    assert read_status(replayed.plan(), read_journal(replayed.store)).annotated["first"].failed == 0
    run_pipeline(tmp_path / "undisturbed", config)
    shards = {k: v for k, v in digest(tmp_path / "undisturbed").items() if k.startswith("export/shards")}
    assert {k: v for k, v in digest(tmp_path / "root").items() if k.startswith("export/shards")} == shards


def test_explain_gives_a_verdict_and_the_values_it_was_made_on_for_every_annotation(tmp_path: Path) -> None:
    ids = write_photographs(tmp_path / "photos", 3)
    filters = {"region-confidence": {"params": {"objects": 0.6}}}
    pipeline = run_pipeline(tmp_path / "root", fake_config(tmp_path / "photos", filters=filters))
    found = explain(pipeline.plan(), ids[1][:8])
    assert found.image_id == ids[1]
    assert found.status == {"first": "done", "second": "done"}
    regions = [a for a in found.annotations if a.target == "regions"]
    assert len(regions) == 3 + 2
    for region in regions:
        assert region.score is not None
        assert region.values["region-confidence"] == region.score
        if region.score < 0.6:
            assert (region.kept, region.reason) == (False, "low_confidence")
        else:
            assert region.kept or region.reason == "overlaps_better"
    assert found.thresholds["region-confidence"]["params"]["objects"] == 0.6
