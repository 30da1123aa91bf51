"""What no target says is counted where people look: in status, manifest and card."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fld_engine.engine.stages.export.manifest import Manifest
from fld_engine.flows.terminal import print_status
from tests.roots import fake_config, run_pipeline, write_photographs


def test_words_that_are_in_no_target_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three photographs of a thing with a Korean name: nobody who looks at 0 targets should have to guess why."""
    write_photographs(tmp_path / "photos", 3)
    names = sorted(path.name for path in (tmp_path / "photos").glob("*.jpg"))
    tree = {
        "images": [{"id": i, "file_name": name, "width": 96, "height": 72} for i, name in enumerate(names)],
        "categories": [{"id": 1, "name": "김밥"}],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [8, 8, 40, 30]} for i in range(3)],
    }
    (tmp_path / "photos/labels.json").write_text(json.dumps(tree))
    sources = [{"url": str(tmp_path / "photos/labels.json"), "kind": "coco"}]
    config = fake_config("", sources=sources, filters={}, export={"splits": {"train": 1.0}})
    root = tmp_path / "root"
    pipeline = run_pipeline(root, config.model_copy(update={"annotators": {}}))
    manifest = Manifest.model_validate_json((root / "export/manifest.json").read_bytes())
    assert manifest.facts.unsaid["<OD>"] == {"not_representable": 3}
    assert "| <OD> | not_representable 3 |" in (root / "export/README.md").read_text()
    print_status(pipeline.plan())
    assert "annotations in no target of <OD>: 3 not representable" in capsys.readouterr().out
