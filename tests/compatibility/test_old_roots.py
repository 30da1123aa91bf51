"""A root that an earlier version made is continued as if it were of today: nothing in it is made a second time.

What fails here would make a user's finished root run anew, models included. Where that is meant, raise the version of
the step, and enter it in `RAISED`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.inspect.explain import explain
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.plan.libraries import tell_of_libraries
from fld_engine.engine.plan.plan import Plan
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.plan.rounds import read_round
from fld_engine.engine.run.pipeline import Pipeline, Work
from fld_engine.engine.stages.annotate.stage import Annotate, require_annotated
from fld_engine.engine.stages.coco.stage import CocoExporter
from fld_engine.engine.stages.contamination.stage import Contamination
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.engine.stages.report.stage import Report
from fld_engine.flows.cli import app
from fld_engine.flows.report import WORD_LISTS, make_report
from fld_engine.flows.root import existing_root
from fld_engine.flows.rounds import print_rounds
from fld_engine.refinement.labels.ledger import WHATS
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.refinement.loop.sparse import SparseStep
from fld_engine.refinement.loop.summary import RefineSummary
from fld_engine.schemas.errors import RootError
from tests.commands import FLD
from tests.compatibility import stand_ins
from tests.compatibility.make_roots import ABLATION, REPORT
from tests.compatibility.old_roots import SOURCES, digests, sources_at, unpack

RAISED: Mapping[str, str] = {
    "verdicts": "what people said twice is one region, a region's class is its surest name, and a model's box on a "
    "person's goes under another name, too; targets of the exports that follow are written by other rules",
    "report": "classes are counted by their names, however these are spelt, as everywhere else",
    "export": "EXIF and the like are left out of photographs",
}
"""Step → why its version was raised on purpose since the old roots were made. It runs again, and what depends on it."""

REWRITTEN: Mapping[str, str] = {
    "lease.*": "who drives the root now, and the lock that keeps others out meanwhile",
    "config.origin.json": "where settings come from, which roots keep since",
    "config.yaml": "the resolved config, which has a line for each setting there is",
    "holdings/*.json": "what each stage leaves in a root, noted before it does",
    "contamination/*": "what images were looked up against, and what was found",
    "stages/appearance/*": "views of the images, which they are looked up by",
    "stages/contamination/*": "what shows gold: nothing",
    "*coco/coco.json": "what the COCO files were made from, which old roots did not note: these are written once more",
    "libraries.json": "versions of the libraries that were at work, noted before the first output of theirs counts",
    "*.html": "pages, which are drawn anew from the same tables; the old roots came without",
    "report/data/accounts.*": "a table that reports have since: old journals keep no accounts, so it has no rows",
}
"""Files that may be new or other than they were → why."""

LOOKED_UP = ("appearance", "contamination")
"""Steps that old roots with gold have not been through: each image is looked up against it, once, and no model runs.
Where nothing is found, as in these roots, all else stays as it is."""

FOLLOWS: Mapping[str, tuple[str, ...]] = {
    "verdicts": ("coverage", "report"),
    "coverage": ("export", "report-merge"),
    "report": ("report-merge",),
}
"""Step over all annotators → those that read what it wrote, by the names of their folders."""
FROM_STEPS = ("run.json", "coverage/*", "coco/*", "export/*", "exports/*", "report/*", "rounds/*")
"""What is written from the outputs of steps, and other than it was once one of them ran again."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for an old root, whose sources and annotators are found."""
    stand_ins.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with sources_at(tmp_path / SOURCES):
        yield tmp_path


def run_again(plan: Plan) -> set[str]:
    """Folders of `stages` that have new outputs because of `RAISED`."""
    found = set(RAISED)
    for name in plan.graph.order:
        if found & {name, *plan.graph.upstream[name]}:
            found |= {name, "verdicts"}
    for step, readers in FOLLOWS.items():
        if step in found:
            found |= set(readers)
    return found


def check_kept(before: Mapping[str, str], root: Path, again: set[str]) -> None:
    """All files are what they were; there are none but of the steps that run again, and of `REWRITTEN`."""
    free = {*REWRITTEN, *(FROM_STEPS if again else ()), *(f"stages/{step}/*" for step in again)}
    after = digests(root)
    assert {path for path in before if path not in after} == set()
    changed = {path for path, digest in after.items() if before.get(path) != digest}
    assert {path for path in changed if not any(fnmatch(path, pattern) for pattern in free)} == set()


def test_the_commands_find_nothing_to_do_on_an_old_root(place: Path) -> None:
    root = unpack("plain", place)
    store, config = existing_root(str(root), ())
    again = run_again(planned(root))
    with Pipeline(store, config) as pipeline:
        look_up(pipeline)
    before = digests(root)
    # in a process of its own: once Prefect has run in this one, what it forks ends badly
    environment = {**os.environ, "PYTHONPATH": str(place / "site")}
    run = [*FLD, "run", str(root / "config.yaml"), "--root", str(root)]
    told = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr
    assert ("nothing to do" in told.stdout) == (not again)
    for arguments in (
        ["status", "--root", str(root)],
        ["report", str(root), *REPORT, "--against", str(root)],
        ["export", "--root", str(root)],
        ["export", "--root", str(root), *ABLATION],
        ["export", "--root", str(root), "--format", "coco"],
        ["replay", "--root", str(root)],
    ):
        assert CliRunner().invoke(app, arguments, catch_exceptions=False).exit_code == 0
    check_kept(before, root, again)
    assert existing_root(str(root), ())[1] == config


def planned(root: Path) -> Plan:
    store, config = existing_root(str(root), ())
    return Pipeline(store, config).plan()


def test_an_old_root_goes_the_whole_road_without_one_task(place: Path) -> None:
    root = unpack("plain", place)
    before = digests(root)
    store, config = existing_root(str(root), ())
    with Pipeline(store, config) as pipeline:
        again = run_again(pipeline.plan())
        missing = {step for step in (*pipeline.plan().steps, "report") if pipeline.plan().missing(step)}
        assert missing == (again - {"export", "report-merge"}) | {*LOOKED_UP}
        look_up(pipeline)
        pipeline.preflight()
        for stage in every_run():
            assert again or stage.is_current(pipeline.plan()), stage.name
            pipeline.run(stage)
        pipeline.run(Report(WORD_LISTS["coco"], num_images=4))
        if not again:
            assert pipeline.work == Work()
        pipeline.run(CocoExporter())
        status = read_status(pipeline.plan(), read_journal(store))
        found = explain(pipeline.plan(), first_image(pipeline.plan()))
    check_kept(before, root, again)
    assert (status.ingested, status.removed, status.exported_samples) == (24, 1, 20)
    assert found.thresholds["sure"]["filter"].endswith("filters.region:RegionConfidence"), "as it was called then"
    assert found.thresholds["sure"]["params"]["objects"] == 0.4


def look_up(pipeline: Pipeline) -> None:
    """Compare the images of an old root with its gold; nothing is found, and what comes after has nothing to do."""
    assert pipeline.run(Contamination()) == {"gold": 0}
    assert pipeline.work.models_loaded == 0
    pipeline.work = Work()


def every_run() -> list[Any]:
    return [stage for stage in installed_stages() if stage.every_run]


def first_image(plan: Plan) -> str:
    table = plan.store.read_table(plan.partitions[0].files["images"].path)
    return str(table["id"][0].as_py())


def test_an_old_root_goes_on_with_the_images_that_are_new(place: Path) -> None:
    """Its sources moved along with it: only the new photograph is annotated, and old shards stay."""
    root = unpack("plain", place)
    before = digests(root)
    photo = next((place / SOURCES / "more").glob("*.png"))
    photo.with_name("new.png").write_bytes(photo.read_bytes() + b"after the end of the image")
    store, config = existing_root(str(root), ())
    with Pipeline(store, config) as pipeline:
        again = run_again(pipeline.plan())
        assert not tell_of_libraries(pipeline.plan(), every_run()), "what it was made with is not known"
        record = pipeline.run(Ingest())
        assert record is not None
        assert (record.new, record.known, record.found) == (1, 4, 5)
        num_outputs = pipeline.run(Annotate())
        for stage in every_run():
            pipeline.run(stage)
        if not again:
            assert num_outputs == len(config.annotators)
            after = digests(root)
            kept = [path for path in before if path.startswith(("stages/", "partitions/", "export/shards/train"))]
            assert {path for path in kept if before[path] != after.get(path)} == set()


def test_a_refined_root_is_asked_for_its_rounds_and_has_them(place: Path) -> None:
    root = unpack("refined", place)
    before = digests(root)
    store, config = existing_root(str(root), ())
    with Pipeline(store, config) as pipeline:
        again = run_again(pipeline.plan())
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        if "verdicts" in again:
            with pytest.raises(RootError, match="rounds are never changed"):
                loop.initial_round()
            return
        require_annotated(pipeline.plan())
        look_up(pipeline)
        pipeline.run(Filter())
        assert loop.settings.sparse is not None
        rounds = [loop.initial_round()]
        rounds.append(loop.round(1, rounds[0]))
        final = loop.final(rounds)
        rounds.append(SparseStep(loop, loop.settings.sparse).round(2, rounds[1]))
        assert not loop.plan_of_students(1, rounds[0]).missing("student-1")
        for record in rounds[:2]:
            loop.teacher.standing(record)
        assert pipeline.work == Work()
        images = [image for partition in rounds[1].partitions for image in loop.files.images(partition)]
    for number in (1, 2):
        with Pipeline(store, config, round_=number) as pipeline:
            for stage in (Annotate(), Filter(), Export()):
                pipeline.run(stage)
            if number == 2:
                make_report(pipeline, num_images=2, about="round 2")
            if not again:
                assert pipeline.work == Work()
            if number == 2:
                pipeline.run(CocoExporter())
    check_kept(before, root, again)

    assert [record.number for record in rounds] == [read_round(store, n).number for n in range(3)] == [0, 1, 2]
    assert {image.gold_split for image in images} == {"", "calibrate", "gate", "final"}
    assert rounds[1].details["edits"].keys() == set(WHATS)
    assert final["f1@0.5"][1] > final["f1@0.5"][0]
    out = Console(record=True, width=200)
    print_rounds(out, RefineSummary(rounds=tuple(rounds), ended="it was so", final=final), as_json=False)
    told = out.export_text()
    assert "accepted" in told
    assert "edits of regions on gold came closer to it" in told
    assert "detailed: learned from" in told


def test_an_old_round_that_was_killed_before_its_end_goes_on(place: Path) -> None:
    """Students, what they saw and what follows from the proposed labels are there; the merge is arithmetic."""
    root = unpack("refined", place)
    store, config = existing_root(str(root), ())
    there = read_round(store, 1)
    (root / "rounds/001/round.json").unlink()
    before = digests(root)
    with Pipeline(store, config) as pipeline:
        if "verdicts" in run_again(pipeline.plan()):
            pytest.skip("its labels are of another version on purpose, so its rounds are refused")
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        assert loop.round(1, loop.initial_round()) == there
        assert pipeline.work.outputs_written == 0
    after = digests(root)
    assert {path for path in before if before[path] != after.get(path)} == set()


def test_an_image_leaves_no_trace_in_an_old_root(place: Path) -> None:
    """What it holds is known, though stages of then did not note what they leave."""
    root = unpack("refined", place)
    store, config = existing_root(str(root), ())
    with Pipeline(store, config) as pipeline:
        image_id = first_image(pipeline.plan())
        pipeline.run(Remove([image_id]))
    named = [path for path in root.rglob("*") if path.is_file() and image_id.encode() in path.read_bytes()]
    assert [path.name for path in named] == ["removed.json"], "the list that refuses it"
    assert not (root / "rounds").exists(), "students have learned from it"
