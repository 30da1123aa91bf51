"""The whole loop on a root: train on Ray, annotate again, merge, gate; every round a set of files of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fld_engine.engine.data.partition import read_output
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, RunnerConfig, dump_config, parse_config
from fld_engine.engine.plan.rounds import plan_of, read_round
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.flows.report import report_root
from fld_engine.flows.rounds import print_rounds
from fld_engine.refinement.gate.gating import MergeDecision, edits_of
from fld_engine.refinement.labels.folds import EVERY_FOLD, fold_of
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.labels.survey import survey_of
from fld_engine.refinement.labels.tables import gold_of
from fld_engine.refinement.loop.details import round_details
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.partition_merge import MergedPartition
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.stopping import why_stop
from fld_engine.refinement.loop.summary import RefineSummary
from fld_engine.refinement.merge.rules import MergeRules
from fld_engine.schemas.annotations import Source
from fld_engine.schemas.errors import ConfigError, RootError
from fld_engine.schemas.reader import open_export
from tests.commands import FLD
from tests.refinement.shapes import NUM, NUM_GOLD, REFINE, digests, opened
from tests.refinement.workers import training_workers
from tests.roots import run_pipeline
from tests.waiting import PATIENCE_S, wait_until

pytestmark = [
    pytest.mark.long(minutes=5),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),
]


def test_a_student_that_knows_nothing_is_refused_and_changes_nothing(made: tuple[Path, RunConfig]) -> None:
    root, config = made
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        first = loop.initial_round()
        second = loop.round(1, first)
        plan = loop.plan_of_students(1, first)
        outputs = [plan.fingerprints["student-1", partition.unseen.id] for partition in first.partitions]
        seen = [
            read_output(pipeline.store, "student-1", partition.unseen.id, output).done
            for partition, output in zip(first.partitions, outputs, strict=True)
        ]
        assert sum(seen) == NUM + NUM_GOLD, "the students have seen every image"
        assert {gate.specialist for gate in second.gates} == {"regions"}, "of texts gold says nothing"
        assert "texts: nothing to judge texts by" in why_stop(second)
        measured = {figure.metric: (figure.before, figure.after) for figure in round_details(second).measured}
        assert measured["mask_iou"] == (0.0, 0.0), "gold has masks, the labels have none"
        assert not measured.keys() & {"cider", "character_error", "grounding_recall@0.5"}, "gold has nothing of these"
        assert not any(gate.accepted for gate in second.gates)
        assert "made nothing better" in why_stop(second)
        for before, after in zip(first.partitions, second.partitions, strict=True):
            assert after.standing == before.standing, "the very same files"
            assert after.unseen == before.unseen
            assert pipeline.store.read_table(after.ledger.path).num_rows == 0
        (regions,) = [gate for gate in round_details(second).gates if gate.unit == "regions"]
        assert regions.state == "not_better"
        assert 3 <= regions.num_images < NUM_GOLD, "the gate's third of gold"
        curves = EventAccumulator(str(root / "training/round-001/student-0")).Reload()
        assert [point.step for point in curves.Scalars("loss")] == [4, 8]
        told = EventAccumulator(str(root / "training/gold")).Reload()
        assert [point.step for point in told.Scalars("gold/regions/f1@0.5")] == [1]
        found = loop.final([first, second])
        assert found["f1@0.5"][0] == found["f1@0.5"][1]

    kept = digests(root / "rounds")
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        assert loop.round(1, loop.initial_round()) == second
        assert pipeline.work.models_loaded == 0, "a finished round is not made again"
    assert digests(root / "rounds") == kept

    other = RefineConfig.model_validate({**REFINE, "max_names": 3})
    with opened(root, config) as pipeline, pytest.raises(RootError, match="rounds are never changed"):
        Loop(pipeline, other).round(1, first)


def test_no_student_is_taught_gold_or_what_it_labels(made: tuple[Path, RunConfig]) -> None:
    root, config = made
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        first = loop.initial_round()
        standing = plan_of(pipeline.store, config, 0)
        pipeline.record(standing.lanes(Filter()))
        images = [image for partition in first.partitions for image in loop.files.images(partition)]
        gold = {image.id for image in images if image.gold_split}
        taught = [
            {image.id for image in loop.teacher.training_set(standing, fold).open().images}
            for fold in (0, 1, EVERY_FOLD)
        ]
    assert len(gold) == NUM_GOLD
    assert taught[EVERY_FOLD].isdisjoint(gold)
    assert len(taught[EVERY_FOLD]) == NUM
    assert taught[0] | taught[1] == taught[EVERY_FOLD]
    for fold in (0, 1):
        assert taught[fold]
        labels = {image.id for image in images if fold_of(image.twin_group, config.seed, 2) == fold}
        assert taught[fold].isdisjoint(labels)


def test_workers_write_the_edits_that_the_driver_would_have_made(made: tuple[Path, RunConfig], tmp_path: Path) -> None:
    """All that an ignorant student proposes, accepted: each partition is a task, and comes back in its place.

    Under both runners, to the byte.
    """
    root, config = made
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        loop.round(1, loop.initial_round())
    merging = MergeDecision(calibrations=(), accepted=frozenset({"regions", "texts"}), rules=MergeRules())
    source = Source(annotator="refinement", model="student", revision="r", round=2)
    merges: dict[str, list[MergedPartition]] = {}
    for kind in ("ray", "local"):
        shutil.copytree(root, tmp_path / kind)
        runner = RunnerConfig(kind=kind, workers=2)
        with opened(tmp_path / kind, config.model_copy(update={"runner": runner})) as pipeline:
            loop = Loop(pipeline, config.section("refine", RefineConfig))
            first = loop.initial_round()
            plan = loop.plan_of_students(1, first)
            merges[kind] = loop.merge_partitions(2, first, plan, merging, source)
    assert merges["ray"] == merges["local"]
    assert digests(tmp_path / "ray/rounds/002") == digests(tmp_path / "local/rounds/002") != {}

    merged = merges["local"]
    with opened(tmp_path / "local", config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        assert len(merged) == len(first.partitions) > 1
        for before, judged, after in zip(first.partitions, loop.judged(first, plan), merged, strict=True):
            edits = edits_of(judged.images, judged.judged, merging)
            ledger = pipeline.store.read_table(after.partition.ledger.path)
            assert ledger["annotation_id"].to_pylist() == [edit.annotation_id for edit in edits] != []
            assert sum(after.edits.values()) == len(edits)
            assert after.partition.unseen.id == before.unseen.id
            assert after.partition.unseen.annotations_fingerprint != before.unseen.annotations_fingerprint
            assert after.survey == survey_of(loop.files.images(after.partition))


def test_a_round_whose_worker_and_driver_were_killed_has_the_same_bytes(
    made: tuple[Path, RunConfig], tmp_path: Path
) -> None:
    """The worker once the first student has a checkpoint, the driver once that student is kept and the other has one.

    Another worker goes on under the same driver, another driver by the same command.
    """
    root, config = made
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        loop.round(1, loop.initial_round())
    again = tmp_path / "root"
    shutil.copytree(root, again)
    shutil.rmtree(again / "rounds")
    for stage in (again / "stages").glob("student-*"):
        shutil.rmtree(stage)
    (again / "config.yaml").write_text(dump_config(config))
    command = [*FLD, "refine", str(again)]
    output = tmp_path / "first.log"
    with output.open("wb") as log:
        first = subprocess.Popen(command, start_new_session=True, stdout=log, stderr=log)
    students = again / "rounds/001/students"
    (worker,) = wait_until(lambda: training_workers(psutil.Process(first.pid)), driver=first, output=output)
    wait_until(lambda: [*students.glob("0-checkpoints/step-*.pt")], driver=first, output=output)
    worker.kill()
    worker.wait(PATIENCE_S)
    assert not (students / "0/student.json").exists(), "it was to be killed in the middle"
    wait_until(lambda: [*students.glob("1-checkpoints/step-*.pt")], driver=first, output=output)
    first.kill()
    first.wait()
    kept = (students / "0/student.json").stat().st_mtime_ns
    assert not (again / "rounds/001/round.json").exists()
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert (students / "0/student.json").stat().st_mtime_ns == kept, "not trained again"
    assert digests(again / "rounds/001") == digests(root / "rounds/001")
    assert digests(again / "rounds/base") == digests(root / "rounds/base")
    assert "regions" in done.stdout
    assert "refused" in done.stdout
    attempt = json.loads((again / "run.json").read_bytes())[-1]
    costs = attempt["summary"]["costs"]
    is_counted = costs["stages"].get("training", {}).get("cpu_s", 0) > 0
    # its checkpoint may have been the last, and the training worker outlives the driver by a moment
    was_trained = (students / "1/student.json").stat().st_mtime < attempt["started"]
    assert is_counted != was_trained, "what the other student cost"
    students_looked = [name for name, cost in costs["specialists"].items() if cost["images"] > 0]
    assert students_looked, "the students that looked again"


def test_without_gold_specialists_that_agree_are_a_proxy_that_is_named(
    made: tuple[Path, RunConfig], tmp_path: Path
) -> None:
    """The two fakes see two regions of each image alike. Trained in sample, the paper's way: one student."""
    _, config = made
    plain = config.model_copy(
        update={"sources": config.sources[:1], "refine": {**REFINE, "rules": {**REFINE["rules"], "in_sample": True}}}
    )
    run_pipeline(tmp_path / "root", plain)
    with opened(tmp_path / "root", plain) as pipeline:
        loop = Loop(pipeline, plain.section("refine", RefineConfig))
        first = loop.initial_round()
        second = loop.round(1, first)
        final = loop.final([first, second])
    assert [gate.metric for gate in second.gates] == ["agreement-f1@0.5"]
    regions, texts = round_details(second).gates
    assert (regions.state, texts.state) == ("not_better", "cannot_tell"), "this student knows nothing"
    assert regions.before > 0.5
    assert {figure.metric for figure in round_details(second).measured} >= {"agreement-ap", "agreement-recall@0.75"}
    assert final == {}
    out = Console(record=True, width=200)
    print_rounds(out, RefineSummary(rounds=(first, second), ended="all is done", final=final), as_json=False)
    assert "not who is right" in out.export_text()


def test_removal_takes_every_round_along(made: tuple[Path, RunConfig], tmp_path: Path) -> None:
    root, config = made
    folder = tmp_path / "root"
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns("rounds"))
    with opened(folder, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        image = next(image for image in loop.files.images(loop.initial_round().partitions[0]) if not image.gold_split)
        pipeline.run(Remove([image.id]))
        assert not (folder / "rounds").exists()
        after = Loop(pipeline, config.section("refine", RefineConfig)).initial_round()
        assert sum(partition.standing.num_images for partition in after.partitions) == NUM + NUM_GOLD - 1
    named = [path for path in folder.rglob("*") if path.is_file() and image.id.encode() in path.read_bytes()]
    assert [path.name for path in named] == ["removed.json"], "the list that refuses it"


def test_a_round_is_exported_like_any_root(made: tuple[Path, RunConfig], tmp_path: Path) -> None:
    """With edits of every kind on one image, made by hand."""
    root, config = made
    folder = tmp_path / "root"
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns("rounds"))
    with opened(folder, config) as pipeline:
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        first = loop.initial_round()
        images = [image for image in loop.files.images(first.partitions[0]) if not image.gold_split]
        target = next(image for image in images if len(image.regions) >= 3)
        moved, renamed, removed, *_ = target.regions
        edits = [
            edit(target.id, "moved", moved.id, old={"box": moved.box_xyxy}, new={"box": (1.0, 2.0, 20.0, 30.0)}),
            edit(target.id, "relabelled", renamed.id, old={"label": renamed.label}, new={"label": "circle"}),
            edit(target.id, "removed", removed.id, old={"label": removed.label}),
            edit(target.id, "added", "f" * 24, new={"box": (3.0, 3.0, 9.0, 9.0), "label": "star"}),
        ]
        source = Source(annotator="refinement", model="student", revision="r", round=1)
        partitions = tuple(
            loop.files.edit(1, partition, edits if i == 0 else [], source)
            for i, partition in enumerate(first.partitions)
        )
        after = first.model_copy(update={"number": 1, "partitions": partitions})
        pipeline.store.write_model("rounds/001/round.json", after)
        labels = {region.id: region for image in loop.files.images(partitions[0]) for region in image.regions}
        assert labels[moved.id].box_xyxy == (1.0, 2.0, 20.0, 30.0)
        assert labels[renamed.id].label == "circle"
        assert removed.id not in labels
        assert labels["f" * 24].label == "star"
        assert pipeline.store.read_table(partitions[0].ledger.path)["what"].to_pylist() == [e.what for e in edits]
        for before, now in zip(first.partitions, partitions, strict=True):
            assert str(loop.files.gold(now)) == str(loop.files.gold(before))

    for number in (0, 1):
        with Pipeline(Store(str(folder)), config, round_=number) as pipeline:
            pipeline.run(Filter())
            summary = pipeline.run(Export())
            assert summary.num_samples == NUM
        report = verify(str(folder / f"rounds/{number:03d}/export"))
        assert not report.problems
    export = str(folder / "rounds/001/export")
    records = {
        sample.key: sample.record
        for split in ("train", "val")
        for sample, _ in open_export(export, split).epoch(epoch=0, seed=0)
    }
    assert len(records) == NUM
    manifest = json.loads(Path(export, "manifest.json").read_text())
    assert set(manifest["models"]) == {"first", "second"}, "who made the labels that the round began with"
    names = [text["text"] for region in records[target.id]["regions"] for text in region["texts"]]
    assert {"star", "circle"} <= set(names)
    assert removed.id not in {region["id"] for region in records[target.id]["regions"]}
    assert {record["status"]["regions"] for record in records.values()} == {"done"}, "as the specialists left it"
    assert {record["status"]["texts"] for record in records.values()} == {"not_run"}

    (folder / "config.yaml").write_text(dump_config(config))
    pages = report_root(str(folder), against=(str(folder), (), 0), round_=1, num_images=4)
    assert "rounds/001/report/changes.html" in pages
    changes = (folder / "rounds/001/report/changes.html").read_text()
    assert target.id in changes, "the image that was edited, before beside after"
    assert not (folder / "report").exists()


def edit(image_id: str, what: Any, identity: str, **values: Any) -> Edit:
    table = "region_texts" if what == "relabelled" else "regions"
    return Edit(
        unit="regions", image_id=image_id, table=table, annotation_id=identity, what=what, why="by hand",
        p_new=0.8, **values,
    )  # fmt: skip


def test_a_round_that_is_not_there_is_named(made: tuple[Path, RunConfig]) -> None:
    root, config = made
    with pytest.raises(RootError, match="has no round 7"):
        plan_of(Store(str(root)), config, 7)
    with pytest.raises(RootError, match="has no round 9"):
        read_round(Store(str(root)), 9)


def test_wrong_settings_are_named() -> None:
    with pytest.raises(ConfigError, match=r"refine.training.num_steps: .* got 0"):
        parse_config({"refine": {"training": {"num_steps": 0}}}, where="test")
    assert gold_of(source_of_nothing()) == {}


def source_of_nothing() -> Any:
    from fld_engine.schemas.tables import ANNOTATION_TABLES

    return {name: schema.empty_table() for name, schema in ANNOTATION_TABLES.items()}
