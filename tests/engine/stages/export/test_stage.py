"""An export that grows: old shards stay, and every file beside them speaks of all."""

from __future__ import annotations

import json
import subprocess
from contextlib import suppress
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.coverage.stage import Coverage
from fld_engine.engine.stages.export import stage as export_stage
from fld_engine.engine.stages.export.placed import mark_placed
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.export.verify import verify
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.schemas.errors import ConfigError
from tests.roots import digest, fake_config, opened, run_pipeline, write_photographs

pytestmark = pytest.mark.long

BESIDE = ("index.parquet", "wids-train.json", ".nv-meta/index.sqlite", ".nv-meta/.info.json", "shards/sizes.json")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_photographs(tmp_path / "photos", 12)
    run_pipeline(tmp_path / "root", fake_config(tmp_path / "photos"))
    return tmp_path / "root"


def test_a_later_ingest_adds_to_every_file(root: Path, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in (root / "export/shards").glob("*.tar*")}
    old = pq.read_table(root / "export/index.parquet")
    write_photographs(tmp_path / "photos", 7, seed=1)
    run_pipeline(root, fake_config(tmp_path / "photos"))
    after = {path.name: path.stat().st_mtime_ns for path in (root / "export/shards").glob("*.tar*")}
    assert before.items() < after.items()
    index = pq.read_table(root / "export/index.parquet")
    assert index.num_rows == 19
    assert index.slice(0, old.num_rows) == old
    shards = {name for name in after if name.endswith(".tar")}
    assert set(index["shard"].to_pylist()) == shards
    assert set(json.loads((root / "export/shards/sizes.json").read_text())) == shards
    info = json.loads((root / "export/.nv-meta/.info.json").read_text())["shard_counts"]
    assert info == {f"shards/{shard}": index["shard"].to_pylist().count(shard) for shard in shards}
    assert verify(str(root / "export")).problems == ()
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=root / "export", check=True)


def test_every_file_of_an_export_has_its_sum(root: Path) -> None:
    """What no sum covers may change unseen."""
    sums = {line.split("  ", 1)[1] for line in (root / "export/SHA256SUMS").read_text().splitlines()}
    files = {str(path.relative_to(root / "export")) for path in (root / "export").rglob("*") if path.is_file()}
    assert sums == files - {"SHA256SUMS"}


@pytest.mark.parametrize("name", [*BESIDE, "README.md", "shards/*.tar.idx"])
def test_a_lost_file_is_written_again_as_it_was(root: Path, tmp_path: Path, name: str) -> None:
    before = digest(root)
    next(iter(sorted((root / "export").glob(name)))).unlink()
    assert not verify(str(root / "export")).ok
    run_pipeline(root, fake_config(tmp_path / "photos"))
    assert digest(root) == before


@pytest.mark.parametrize("name", BESIDE)
def test_a_changed_file_is_found(root: Path, name: str) -> None:
    path = root / "export" / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert [problem.member for problem in verify(str(root / "export")).problems] == [name]


def test_lost_index_rows_are_made_again(root: Path, tmp_path: Path) -> None:
    """They are what the next export is completed from."""
    before = digest(root)
    next(iter(sorted((root / "stages/export").glob("*.index.parquet")))).unlink()
    with opened(root, fake_config(tmp_path / "photos")) as pipeline:
        pipeline.run(Ingest())
        assert pipeline.run(Export()).groups_written == 1
    assert digest(root) == before


def test_an_export_may_do_without_the_database_of_keys(root: Path, tmp_path: Path) -> None:
    """For the 40 GB that it has for a hundred million samples; Energon's loaders do not open it."""
    shards = {path: path.stat().st_mtime_ns for path in (root / "export/shards").glob("*.tar")}
    run_pipeline(root, fake_config(tmp_path / "photos", export={"energon_index": False}))
    assert not (root / "export/.nv-meta/index.sqlite").exists()
    assert verify(str(root / "export")).ok
    assert {path: path.stat().st_mtime_ns for path in (root / "export/shards").glob("*.tar")} == shards


@pytest.mark.parametrize("name", ["train-small", "a/b", "", "trän"])
def test_split_names_that_readers_do_not_take_are_refused(tmp_path: Path, name: str) -> None:
    """Hugging Face refuses them, and a glob for `train-*` would take in the shards of `train-small`."""
    with pytest.raises(ConfigError, match=r"export\.splits"):
        fake_config(tmp_path, export={"splits": {name: 1.0}})


def of_annotator(photos: Path, name: str) -> RunConfig:
    """One fake detector of that name: two names of one length give shards of the same names and sizes."""
    config = fake_config(photos)
    return config.model_copy(update={"annotators": {name: config.annotators["first"]}})


def up_to_export(pipeline: Pipeline) -> None:
    for stage in (Ingest(), Annotate(), Filter(), Coverage()):
        pipeline.run(stage)


class Killed(Exception):
    """Stands for a driver's death, which leaves things as they are."""


@pytest.mark.parametrize("groups_done", [0, 1, 2])
def test_an_export_that_was_begun_and_given_up_for_the_config_before_leaves_none_of_its_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, groups_done: int
) -> None:
    """Names and sizes are the same, the manifest is withdrawn: what tells the shards apart must outlive the driver."""
    write_photographs(tmp_path / "photos", 16)
    run_pipeline(tmp_path / "root", of_annotator(tmp_path / "photos", "alfa"))
    before = digest(tmp_path / "root")
    recorded = []

    def die_after(store: Store, folder: str, record: str) -> None:
        if len(recorded) == groups_done:
            raise Killed
        recorded.append(record)
        mark_placed(store, folder, record)

    with (
        opened(tmp_path / "root", of_annotator(tmp_path / "photos", "beta")) as pipeline,
        monkeypatch.context() as patch,
        suppress(Killed),
    ):
        up_to_export(pipeline)
        patch.setattr(export_stage, "mark_placed", die_after)
        pipeline.run(Export())
    run_pipeline(tmp_path / "root", of_annotator(tmp_path / "photos", "alfa"))
    assert verify(str(tmp_path / "root/export")).ok
    after = digest(tmp_path / "root")
    assert {name: after[name] for name in before} == before


def test_an_export_that_is_taken_up_again_writes_what_is_missing_alone(root: Path, tmp_path: Path) -> None:
    """Marks say which groups are done where no manifest stands."""
    (root / "export/manifest.json").unlink()
    with opened(root, fake_config(tmp_path / "photos")) as pipeline:
        assert pipeline.run(Export()).groups_written == 0


def test_a_finished_export_without_marks_is_known_by_its_manifest(root: Path, tmp_path: Path) -> None:
    """As roots of earlier versions are."""
    for mark in (root / "stages/export").glob("*.in-*"):
        mark.unlink()
    with opened(root, fake_config(tmp_path / "photos")) as pipeline:
        assert pipeline.run(Export()).groups_written == 0
