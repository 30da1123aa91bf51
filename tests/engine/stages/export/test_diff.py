"""What changed between two exports, told from the manifests where they can tell it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.stages.export.diff import Changes, ExportDiff, ValueChange, diff
from fld_engine.engine.stages.removal.stage import Remove
from fld_engine.schemas.errors import RootError, VerificationError
from tests.roots import fake_config, opened, run_pipeline, write_photographs

pytestmark = pytest.mark.long

Made = tuple[Path, RunConfig, list[str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Root, config and ids of nine images in four shards or so."""
    folder = tmp_path_factory.mktemp("made")
    ids = write_photographs(folder / "photos", 9)
    config = fake_config(folder / "photos")
    run_pipeline(folder / "root", config)
    return folder / "root", config, ids


def compare(made: Made, folder: Path, config: RunConfig) -> ExportDiff:
    """The export of the same root under another config, against the first."""
    shutil.copytree(made[0], folder / "root")
    run_pipeline(folder / "root", config)
    return diff(str(made[0] / "export"), str(folder / "root/export"))


def test_the_same_export_is_the_same_without_opening_a_shard(made: Made, tmp_path: Path) -> None:
    shutil.copytree(made[0] / "export", tmp_path / "copy")
    for shard in (tmp_path / "copy/shards").glob("*.tar"):
        shard.unlink()  # what is not opened is not missed
    found = diff(str(made[0] / "export"), str(tmp_path / "copy"))
    assert found.same
    assert found.num_samples == (9, 9)
    assert found.num_shards_read == (0, 0)


def test_another_threshold_changes_a_filter_and_what_was_kept_by_it(made: Made, tmp_path: Path) -> None:
    tree = made[1].model_dump(mode="json")
    tree["filters"]["region-confidence"]["params"] = {"objects": 0.9}
    found = compare(made, tmp_path, RunConfig.model_validate(tree))
    assert found.filters == Changes(changed=("region-confidence",))
    assert found.specialists == Changes()
    assert found.config == {"filters.region-confidence.params.objects": ValueChange(old=None, new=0.9)}
    assert (found.samples_added, found.samples_removed) == ((), ())
    assert {sample.id for sample in found.samples_changed} <= set(made[2])
    assert found.parts.keys() == {"regions", "targets"}, "pictures, texts and splits are as they were"
    assert found.parts["regions"] == sum("regions" in sample.parts for sample in found.samples_changed) > 0


def test_specialists_come_go_and_change(made: Made, tmp_path: Path) -> None:
    tree = made[1].model_dump(mode="json")
    tree["annotators"]["third"] = tree["annotators"].pop("second")
    tree["annotators"]["first"]["params"]["regions"] = 1
    found = compare(made, tmp_path, RunConfig.model_validate(tree))
    assert found.specialists == Changes(added=("third",), removed=("second",), changed=("first",))
    assert found.config["annotators.first.params.regions"] == ValueChange(old=3, new=1)


def test_samples_are_added_and_removed_while_untouched_shards_stay_closed(made: Made, tmp_path: Path) -> None:
    source, config, ids = made
    shutil.copytree(source, tmp_path / "root")
    with opened(tmp_path / "root", config) as pipeline:
        report = pipeline.run(Remove([ids[8]]))
    old, new = str(source / "export"), str(tmp_path / "root/export")
    found = diff(old, new)
    assert (found.samples_removed, found.samples_added, found.samples_changed) == ((ids[8],), (), ())
    assert found.shards == Changes(changed=report.shards_changed, removed=report.shards_removed)
    assert found.num_shards_read[0] == len(report.shards_changed) + len(report.shards_removed) < found.num_shards[0]
    back = diff(new, old)
    assert (back.samples_removed, back.samples_added) == ((), (ids[8],))
    assert back.shards.added == found.shards.removed


def test_samples_that_only_moved_are_not_changed(made: Made, tmp_path: Path) -> None:
    settings = made[1].export.model_copy(update={"max_samples": 2})
    found = compare(made, tmp_path, made[1].model_copy(update={"export": settings}))
    assert (found.samples_added, found.samples_removed, found.samples_changed) == ((), (), ())
    assert found.shards.added
    assert found.config == {"export.max_samples": ValueChange(old=5, new=2)}
    assert not found.same


def test_what_is_no_export_and_what_is_damaged_is_named(made: Made, tmp_path: Path) -> None:
    export = made[0] / "export"
    with pytest.raises(RootError, match="nowhere has no manifest"):
        diff(str(export), str(tmp_path / "nowhere"))
    shutil.copytree(made[0], tmp_path / "root")
    with opened(tmp_path / "root", made[1]) as pipeline:
        pipeline.run(Remove(made[2][:4]))
    shard = max((tmp_path / "root/export/shards").glob("*-00000-*.tar"))
    shard.write_bytes(shard.read_bytes()[:-1500])
    with pytest.raises(VerificationError, match=f"{shard.name}.*fld verify"):
        diff(str(export), str(tmp_path / "root/export"))
