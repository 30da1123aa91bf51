"""A verifier behind an endpoint on the whole pipeline: budget, replay, a rerun without a network."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.inspect.explain import explain
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.replay.marks import mark_failed
from tests.annotators.endpoint.cases import asked
from tests.annotators.endpoint.server import MODEL, Reply, Server, said, serving
from tests.roots import digest, fake_config, run_pipeline, write_photographs

KEY = "sk-of-this-test"
NUM_IMAGES, NUM_REGIONS = 6, 5
NUM_QUESTIONS = 3  # per image: two regions of the second detector are those of the first, and asked about once


def opinion(request: dict[str, Any], before: int) -> Reply:
    """Labels of an odd number of letters hold."""
    yes = 0.1 + 0.8 * (len(asked(request)) % 2)
    return said("Yes", ("Yes", yes), ("No", 1 - yes))


def config_of(photos: Path, server: Server, **params: Any) -> RunConfig:
    given = {"base_url": server.url, "model": MODEL, "key_variable": "ROAD_KEY", "questions": ["holds"], **params}
    verifier = {"use": "endpoint-verifier", "params": given, "batch_size": 2}
    return fake_config(
        photos,
        annotators={"verifier": {**verifier, "work_set": {"min_score": 0.0, "nms_iou": 1.0}}},
        filters={"region-confidence": {"params": {"objects": 0.0}}, "region-nms": {"params": {"iou": 1.0}}}
        | {"region-check": {}},
    )


def verified(pipeline: Pipeline) -> tuple[int, int]:
    counts = read_status(pipeline.plan(), read_journal(pipeline.store)).annotated["verifier"]
    return counts.done, counts.failed


@pytest.mark.long
def test_budget_then_replay_then_a_rerun_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAD_KEY", KEY)
    photos, root = tmp_path / "photos", tmp_path / "root"
    write_photographs(photos, NUM_IMAGES)
    with serving(opinion) as server:
        server.key = KEY
        # one after another, or the questions about two images race for the last of the budget
        first = run_pipeline(root, config_of(photos, server, max_requests=NUM_QUESTIONS, concurrency=1))
        assert verified(first) == (1, NUM_IMAGES - 1)
        assert len(server.requests) == NUM_QUESTIONS
        assert mark_failed(first.plan()) == NUM_IMAGES - 1
        whole = run_pipeline(root, config_of(photos, server, max_requests=100))
        assert verified(whole) == (NUM_IMAGES, 0)
        num_asked = len(server.requests)
        assert num_asked == NUM_IMAGES * NUM_QUESTIONS  # nothing was asked twice
    tallies = [json.loads(path.read_text()) for path in (root / "answers" / "verifier" / "spent").iterdir()]
    assert sum(tally["requests"] for tally in tallies) == num_asked
    assert not [path for path in root.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]

    shutil.copytree(root / "answers", tmp_path / "again" / "answers")
    shutil.copy(root / "root.json", tmp_path / "again")
    again = run_pipeline(tmp_path / "again", config_of(photos, server))  # the server is gone
    assert verified(again) == (NUM_IMAGES, 0)
    shards = {name: sha for name, sha in digest(root).items() if name.startswith("export/shards")}
    assert {name: sha for name, sha in digest(tmp_path / "again").items() if name.startswith("export/shards")} == shards


def test_the_filter_drops_what_the_verifier_refutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROAD_KEY", KEY)
    first, *_ = write_photographs(tmp_path / "photos", NUM_IMAGES)
    with serving(opinion) as server:
        pipeline = run_pipeline(tmp_path / "root", config_of(tmp_path / "photos", server))
    regions = [a for a in explain(pipeline.plan(), first).annotations if a.target == "regions"]
    assert len(regions) == NUM_REGIONS
    assert {(region.values["region-check"], region.kept, region.reason) for region in regions} == {
        (0.9, True, ""),
        (0.1, False, "label_refuted"),
    }
