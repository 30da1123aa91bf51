"""What `fld gc` frees, and that a root without it is the same root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig, dump_config
from fld_engine.engine.plan.rounds import plan_of
from fld_engine.engine.run.pipeline import Work
from fld_engine.engine.stages.gc.leftovers import find_leftovers, free
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.engine.stages.replay.marks import mark_failed
from fld_engine.flows.cli import app
from fld_engine.flows.root import existing_root
from tests.compatibility import stand_ins
from tests.compatibility.old_roots import SOURCES, sources_at, unpack
from tests.object_store import served_bucket
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs

pytestmark = pytest.mark.long

ATTEMPT = "0123abcd"


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    write_photographs(tmp_path / "photos", 9)
    return fake_config(tmp_path / "photos")


def freed(root: Path | str, config: RunConfig) -> dict[str, str]:
    """Frees what is left over under a config; returns why, by path."""
    with opened(root, config) as pipeline:
        found = find_leftovers(pipeline.plan())
        assert all(num_bytes >= 0 for num_bytes in found.values())
        free(pipeline.store, found)
        assert not find_leftovers(pipeline.plan())
    return {one.path: one.why for one in found}


def stages(found: Mapping[str, str], why: str) -> set[str]:
    return {
        path.split("/")[1] if path.startswith("stages/") else path.split("/")[0]
        for path, w in found.items()
        if w == why
    }


def test_a_finished_root_leaves_the_working_tables_of_its_ingest_and_goes_on_without(
    config: RunConfig, tmp_path: Path
) -> None:
    run_pipeline(tmp_path / "root", config)
    before = digest(tmp_path / "root")
    found = freed(tmp_path / "root", config)
    assert set(found.values()) == {"unused"}
    assert {path.split("/")[0] for path in found} == {"ingest"}
    again = run_pipeline(tmp_path / "root", config)
    assert again.work == Work()
    assert digest(tmp_path / "root") == before
    write_photographs(tmp_path / "photos", 3, seed=1)  # a later ingest needs nothing of what an earlier one worked with
    grown = run_pipeline(tmp_path / "root", config)
    assert sum(record.num_images for record in grown.plan().partitions) == 12


def test_outputs_of_an_earlier_config_go_and_are_made_again_the_same(config: RunConfig, tmp_path: Path) -> None:
    run_pipeline(tmp_path / "root", config)
    before = digest(tmp_path / "root")
    smaller = fake_config(tmp_path / "photos", annotators={"first": {"use": "fake", "params": {"regions": 1}}})
    smaller = smaller.model_copy(update={"annotators": {"first": smaller.annotators["first"]}})
    run_pipeline(tmp_path / "root", smaller)
    small = {path: sha for path, sha in digest(tmp_path / "root").items() if path.startswith("export/")}
    found = freed(tmp_path / "root", smaller)
    assert stages(found, "earlier config") == {"first", "second", "verdicts", "coverage", "export"}
    assert run_pipeline(tmp_path / "root", smaller).work == Work()
    assert {p: s for p, s in digest(tmp_path / "root").items() if p.startswith("export/")} == small
    run_pipeline(tmp_path / "root", config)
    assert freed(tmp_path / "root", config)
    assert digest(tmp_path / "root") == before


def test_what_killed_workers_left_goes_and_nothing_else(config: RunConfig, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run_pipeline(root, config)
    freed(root, config)
    before = digest(root)
    (record,) = list((root / "stages/first").glob("p000000-*.json"))
    left = [
        f"stages/first/{record.stem}.{ATTEMPT}.regions.parquet",
        f"stages/first/p000001-{'0' * 16}.{ATTEMPT}.status.parquet",
        f"stages/first/{record.stem}.json.{ATTEMPT}.tmp",
        "partitions/p000009-0011223344556677.tar",
        f"export/shards/train-00000-000000.tar.{ATTEMPT}.tmp",
        "export/shards/train-00099-000000.tar",
        f"coverage/report.json.{ATTEMPT}.tmp",
    ]
    for path in left:
        (root / path).write_bytes(b"half")
    (root / "stages/first/notes.txt").write_text("of a person")
    (root / "mine").mkdir()
    (root / "mine/p000000-0011223344556677.parquet").write_bytes(b"of another package")
    assert set(freed(root, config)) == set(left)
    assert (root / "stages/first/notes.txt").exists()
    assert (root / "mine/p000000-0011223344556677.parquet").exists()
    assert digest(root) == before
    assert run_pipeline(root, config).work == Work()


def test_what_a_replay_goes_by_stays(tmp_path: Path) -> None:
    ids = write_photographs(tmp_path / "photos", 5)
    annotators = {"first": {"use": "fake", "params": {"raise_on": [ids[1]]}, "batch_size": 2}}
    config = fake_config(tmp_path / "photos", annotators=annotators)
    assert mark_failed(run_pipeline(tmp_path / "root", config).plan()) == 1
    run_pipeline(tmp_path / "root", config)
    before = digest(tmp_path / "root")
    freed(tmp_path / "root", config)
    assert run_pipeline(tmp_path / "root", config).work == Work()
    assert digest(tmp_path / "root").items() <= before.items()


def test_an_ingest_that_was_broken_off_keeps_what_it_has(config: RunConfig, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run_pipeline(root, config)
    freed(root, config)
    write_photographs(tmp_path / "photos", 3, seed=1)
    with opened(root, config) as pipeline:
        pipeline.run(Ingest())
        (root / "ingest/000002.json").unlink()  # as a driver leaves it that is killed just before
    assert not {path for path in freed(root, config) if path.startswith(("ingest/000002/", "partitions/"))}


def test_the_command_deletes_only_when_told_to(config: RunConfig, tmp_path: Path) -> None:
    root = tmp_path / "root"
    run_pipeline(root, config)
    (root / "config.yaml").write_text(dump_config(config))
    there = sorted(root.rglob("*"))

    def told(*options: str) -> str:
        done = CliRunner().invoke(app, ["gc", str(root), *options], catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    assert "would free" in told()
    listed = json.loads(told("--json"))
    assert sorted(root.rglob("*")) == there
    assert listed["bytes"] == sum((root / one["path"]).stat().st_size for one in listed["files"]) > 0
    assert "freed" in told("--yes")
    assert not [one for one in listed["files"] if (root / one["path"]).exists()]
    assert "nothing to free" in told()


def test_rounds_of_refinement_keep_all_that_they_may_go_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a root with rounds, nobody can tell which outputs of earlier settings a round goes by."""
    stand_ins.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with sources_at(tmp_path / SOURCES):
        root = unpack("refined", tmp_path)
        store, config = existing_root(str(root), ())
        outputs = {path for path in Store(str(root)).fs.find(str(root / "stages")) if "/stages/export/" not in path}
        rounds = {path: Path(path).read_bytes() for path in store.fs.find(str(root / "rounds"))}
        found = find_leftovers(plan_of(store, config))
        free(store, found)
        assert {path for path in outputs if not Path(path).exists()} == set()
        assert {path: Path(path).read_bytes() for path in rounds} == rounds


def test_on_an_object_store_likewise(config: RunConfig) -> None:
    with served_bucket() as bucket:
        root = f"{bucket}/root"
        run_pipeline(root, config)
        Store(root).write_bytes(f"stages/first/p000000-{'0' * 16}.{ATTEMPT}.status.parquet", b"half")
        assert "unfinished" in freed(root, config).values()
        assert run_pipeline(root, config).work == Work()
