from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from fld_engine.engine.data.records import FileRecord, PartitionRecord
from fld_engine.engine.plan.config import dump_config
from fld_engine.engine.plan.rounds import RoundPartition, RoundRecord
from fld_engine.flows.cli import app
from fld_engine.refinement.gate.gate import GateRules, decide_gate, mean_measure
from fld_engine.refinement.labels.folds import EVERY_FOLD, fold_of
from fld_engine.refinement.labels.ledger import Unit
from fld_engine.refinement.loop.details import RoundDetails
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.stopping import why_not_teach, why_stop
from tests.refinement.shapes import REFINE, coco, opened
from tests.refinement.tiny import scenes
from tests.roots import fake_config, run_pipeline, write_photographs


def first_round() -> RoundRecord:
    file = FileRecord(path="f", rows=1, num_bytes=1, sha256="")
    files = dict.fromkeys(("tar", "images"), file)
    record = PartitionRecord(
        id="p000000", ingest=1, fingerprint="", annotations_fingerprint="", num_images=1, num_bytes=1, files=files
    )
    partition = RoundPartition(standing=record, unseen=record, ledger=file)
    return RoundRecord(number=0, fingerprint="", partitions=(partition,))


@pytest.mark.parametrize(
    ("folds", "why"),
    [
        ({0, 1}, ""),
        ({1, 2}, ""),  # of more than two, any student learns from one of these at least
        ({EVERY_FOLD}, ""),
        (set(), "no region and no text to learn from"),
        ({2}, "the student of fold 2 has nothing to learn from"),
    ],
)
def test_nobody_is_taught_where_a_student_would_learn_from_nothing(folds: set[int], why: str) -> None:
    """It would be trained on nothing, and fail inside a worker."""
    found = why_not_teach(folds)
    assert why in found
    assert bool(found) == bool(why)


def test_a_round_that_could_not_be_judged_says_why_it_is_the_last() -> None:
    nothing = mean_measure([], [])  # type: ignore[arg-type]
    units: tuple[Unit, Unit] = ("regions", "texts")
    gates = tuple(decide_gate(unit, "m", nothing, 0, GateRules(), seed=0) for unit in units)
    record = first_round().model_copy(update={"number": 1, "details": RoundDetails(gates=gates, edits={}).as_json()})
    assert "round 1 made nothing better" in why_stop(record)
    assert "nothing to judge regions by" in why_stop(record)
    assert "nothing to judge texts by" in why_stop(record)


@pytest.mark.long
def test_labels_on_gold_alone_end_a_refinement_with_a_sentence(tmp_path: Path) -> None:
    """Through the command: the specialists have labelled all images, and all are gold."""
    gold = scenes(3)
    for i, scene in enumerate(gold):
        Image.fromarray(scene.pixels).save(tmp_path / f"{i:03d}.png")
    (tmp_path / "gold.json").write_text(json.dumps(coco(gold)))
    source = {"url": str(tmp_path / "gold.json"), "name": "gold", "kind": "coco", "gold": True}
    config = fake_config(tmp_path, sources=[source], refine=REFINE)
    run_pipeline(tmp_path / "root", config)
    (tmp_path / "root/config.yaml").write_text(dump_config(config))
    told = CliRunner().invoke(app, ["refine", str(tmp_path / "root")])
    assert told.exit_code == 0, told.output
    words = " ".join(told.output.split())
    assert "ended: there is no region and no text to learn from: " in words
    assert "all there is stands on gold images" in words
    assert [path.name for path in (tmp_path / "root/rounds").glob("*/")] == ["000"], "no student, no round"


@pytest.mark.long
def test_images_of_one_fold_end_a_refinement_unless_it_is_in_sample(tmp_path: Path) -> None:
    """Two near-twins of one photograph: no student may learn from one and label the other."""
    write_photographs(tmp_path / "photos", 1)
    (photo,) = (tmp_path / "photos").iterdir()
    Image.open(photo).save(tmp_path / "photos/twin.png")
    config = fake_config(tmp_path / "photos", refine=REFINE)
    run_pipeline(tmp_path / "root", config)
    with opened(tmp_path / "root", config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        first = loop.initial_round()
        (group,) = {image.twin_group for partition in first.partitions for image in loop.files.images(partition)}
        assert first.partitions[0].standing.num_images == 2
        assert loop.taught_folds(first) == {fold_of(group, config.seed, 2)}
        in_sample = Loop(pipeline, RefineConfig.model_validate({**REFINE, "rules": {"in_sample": True}}))
        assert in_sample.taught_folds(first) == {EVERY_FOLD}
