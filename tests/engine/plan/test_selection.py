"""Exports of a part of a root: nested fractions, levels of supervision, tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.selection import Selection
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.export.stage import Export
from fld_engine.engine.stages.export.verify import verify
from fld_engine.schemas.errors import ConfigError
from fld_engine.schemas.reader import open_export
from tests.engine.stages.export.test_targets import sample as sample
from tests.roots import fake_config, run_pipeline, write_photographs

pytestmark = pytest.mark.long

NUM = 40


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunConfig]:
    folder = tmp_path_factory.mktemp("selection")
    write_photographs(folder / "photos", NUM)
    config = fake_config(folder / "photos", export={"splits": {"train": 1.0}})
    run_pipeline(folder / "root", config)
    return folder / "root", config


def exported(root: Path, config: RunConfig, name: str, **select: Any) -> dict[str, Any]:
    """id → json of an export beside the main one."""
    changed = config.export.model_copy(update={"folder": f"exports/{name}", "select": Selection(**select)})
    with Pipeline(Store(str(root)), config.model_copy(update={"export": changed})) as pipeline:
        summary = pipeline.run(Export())
        assert pipeline.work.images_read == 0
    folder = str(root / "exports" / name)
    assert not verify(folder).problems
    found = {s.key: s.record for s, _ in open_export(folder, "train").epoch(epoch=0, seed=0)}
    assert len(found) == summary.num_samples
    return found


def test_smaller_fractions_are_subsets_of_larger_ones(root: tuple[Path, RunConfig]) -> None:
    found = [set(exported(*root, f"f{i}", fraction=fraction)) for i, fraction in enumerate((0.25, 0.5, 1.0))]
    assert found[0] < found[1] < found[2]
    assert len(found[2]) == NUM
    assert 4 <= len(found[0]) <= 16, "about a quarter"
    assert set(exported(*root, "again", fraction=0.5)) == found[1]


def test_the_main_export_stays_as_it_was(root: tuple[Path, RunConfig]) -> None:
    before = (root[0] / "export" / "manifest.json").read_bytes()
    exported(*root, "small", fraction=0.25, level="image")
    assert (root[0] / "export" / "manifest.json").read_bytes() == before
    assert not verify(str(root[0] / "export")).problems


def test_image_level_has_no_regions_and_says_so(root: tuple[Path, RunConfig]) -> None:
    records = exported(*root, "image", level="image").values()
    assert all(record["regions"] == [] and record["status"]["regions"] == "not_run" for record in records)
    whole = exported(*root, "pixel", level="pixel").values()
    assert any(record["regions"] and record["status"]["regions"] == "done" for record in whole)


def test_targets_of_some_tasks_alone(root: tuple[Path, RunConfig]) -> None:
    records = exported(*root, "tasks", tasks=("<OD>",)).values()
    assert {target["task"] for record in records for target in record["targets"]} == {"<OD>"}
    assert all(record["regions"] for record in records), "annotations stay"


def test_levels_cut_masks_first_then_regions(sample: Any) -> None:
    assert Selection(level="pixel").of(sample) == sample
    region = Selection(level="region").of(sample)
    assert [r.id for r in region.regions] == [r.id for r in sample.regions]
    assert not any(r.mask for r in region.regions)
    assert not any(r.mask for g in region.groundings for p in g.phrases for r in p.regions)
    assert any(r.mask for r in sample.regions)
    image = Selection(level="image").of(sample)
    assert (image.regions, image.groundings, image.texts) == ((), (), sample.texts)


def test_an_export_goes_nowhere_else() -> None:
    with pytest.raises(ConfigError, match=r"export.folder"):
        fake_config("photos", export={"folder": "../elsewhere"})
