"""A root that an earlier version made sees what its sources say now, and keeps all that this does not concern."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fld_engine.engine.data.images import ImageLimits
from fld_engine.engine.data.journal import read_journal, read_partitions
from fld_engine.engine.data.partition import PartitionImages, source_tables
from fld_engine.engine.data.store import Store
from fld_engine.engine.plan.registry import installed_stages
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.flows.root import existing_root, keep_config
from tests.compatibility import stand_ins
from tests.compatibility.old_roots import SOURCES, sources_at, unpack
from tests.compatibility.test_old_roots import run_again


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An old root whose sources and annotators are found."""
    stand_ins.install(tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with sources_at(tmp_path / SOURCES):
        yield unpack("plain", tmp_path)


def said(store: Store) -> dict[str, tuple[list[Any], bool]]:
    """What is said of every image now, and whether it is gold."""
    found: dict[str, tuple[list[Any], bool]] = {}
    for record in read_partitions(read_journal(store)):
        images = PartitionImages(store, record, ImageLimits()).table.to_pylist()
        for gold in (False, True):
            tables = source_tables(store, record, gold=gold)
            for row in images:
                if row["gold"] == gold:
                    texts = [r["text"] for r in tables["texts"].to_pylist() if r["image_id"] == row["id"]]
                    boxes = [r["x1"] for r in tables["regions"].to_pylist() if r["image_id"] == row["id"]]
                    found[row["id"]] = (sorted([*texts, *map(str, boxes)]), gold)
    return found


def test_sources_that_read_the_same_revise_nothing_of_an_old_root(root: Path) -> None:
    """All of them are read again: jsons under another revision, folders with one file more."""
    store, config = existing_root(str(root), ())
    for path in (root.parent / SOURCES).rglob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()), indent=3))
    before = said(store)
    prints = [record.annotations_fingerprint for record in read_partitions(read_journal(store))]
    with Pipeline(store, config) as pipeline:
        record = pipeline.run(Ingest())
        assert record is not None
        assert record.known > 0
        assert (record.new, record.revised) == (0, 0)
        assert [r.annotations_fingerprint for r in pipeline.plan().partitions] == prints
    assert said(store) == before


def test_a_corrected_json_takes_the_place_of_what_an_old_root_knew(root: Path) -> None:
    store, config = existing_root(str(root), ())
    before = said(store)
    path = root.parent / SOURCES / "told/labels.json"
    tree = json.loads(path.read_text())
    boxes = [one for one in tree["annotations"] if "bbox" in one and not one.get("iscrowd")]
    corrected = boxes[0]
    (file_name,) = (one["file_name"] for one in tree["images"] if one["id"] == corrected["image_id"])
    corrected["bbox"] = [corrected["bbox"][0] + 1.25, *corrected["bbox"][1:3], corrected["bbox"][3] - 1]
    corrected.pop("segmentation", None)
    path.write_text(json.dumps(tree))
    with Pipeline(store, config) as pipeline:
        record = pipeline.run(Ingest())
        assert record is not None
        assert record.revised == 1
        missing = {step: len(pipeline.plan().missing(step)) for step in pipeline.plan().steps}
        raised = bool(run_again(pipeline.plan()))
        assert raised or missing["verdicts"] == 1, "one partition of all"
    after = said(store)
    (changed,) = [identity for identity in before if before[identity] != after[identity]]
    assert len(after[changed][0]) == len(before[changed][0]), (file_name, before[changed], after[changed])


def test_other_limits_make_nothing_of_an_old_root_again(root: Path) -> None:
    """Which limits its images were accepted under, its config says until it is replaced; then the journal does."""
    store, config = existing_root(str(root), ())
    other = config.model_copy(update={"images": ImageLimits(max_pixels=200_000_000)})

    def missing() -> set[str]:
        plan = Pipeline(store, other).plan()
        return {step for step in plan.steps if plan.missing(step)}

    raised = missing()
    assert raised <= run_again(Pipeline(store, config).plan())
    keep_config(store, other)
    assert missing() == raised
    assert {r.images.max_pixels for r in read_journal(store) if r.images} == {config.images.max_pixels}
    with Pipeline(store, other) as pipeline:
        for stage in (stage for stage in installed_stages() if stage.every_run):
            pipeline.run(stage)
        assert raised or pipeline.work.outputs_written == 0
