"""Which gold images judge regions: those with objects, and those on which their source would have drawn some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

from fld_engine.engine.stages.annotate.stage import Annotate
from fld_engine.engine.stages.filter.stage import Filter
from fld_engine.engine.stages.ingest.stage import Ingest
from fld_engine.refinement.loop.details import initial_details
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.settings import RefineConfig
from tests.refinement.shapes import REFINE, coco
from tests.refinement.tiny import scenes
from tests.roots import fake_config, opened

DRAWN, NOTHING, WRITTEN, REFUSED = range(4)


def write_gold(folder: Path, name: str, *, first_seed: int, boxes: bool) -> dict[str, Any]:
    """Four pictures: with a box, with nothing, with a caption, and with a box that cannot be."""
    drawn = scenes(4, seed=first_seed)
    (folder / name).mkdir()
    for i, scene in enumerate(drawn):
        Image.fromarray(scene.pixels).save(folder / name / f"{i:03d}.png")
    tree = coco(drawn, [(WRITTEN, "brief", "some shapes")], boxes=boxes)
    kept = [row for row in tree["annotations"] if "caption" in row or row["image_id"] in (DRAWN, REFUSED)]
    for row in kept:
        if row["image_id"] == REFUSED:
            row["bbox"] = [5, 5, -3, 0]
    (folder / name / "gold.json").write_text(json.dumps({**tree, "annotations": kept}))
    return {"url": str(folder / name / "gold.json"), "name": name, "kind": "coco", "gold": True}


def test_gold_images_without_objects_count_where_others_of_their_source_have_some(tmp_path: Path) -> None:
    """What a specialist sees on them is wrong. Of images with captions alone nobody knows what they show."""
    sources = [
        write_gold(tmp_path, "boxed", first_seed=1, boxes=True),
        write_gold(tmp_path, "told", first_seed=20, boxes=False),
    ]
    config = fake_config(tmp_path, sources=sources, refine=REFINE)
    judging: dict[tuple[str, int], bool] = {}
    with opened(tmp_path / "root", config) as pipeline:
        for stage in (Ingest(), Annotate(), Filter()):
            pipeline.run(stage)
        loop = Loop(pipeline, config.section("refine", RefineConfig))
        record = loop.initial_round()
        for partition in record.partitions:
            gold = loop.reference.gold(partition)
            for row in pipeline.store.read_table(partition.standing.files["images"].path).to_pylist():
                if row["id"] in gold:
                    judging[row["source"], int(Path(row["uri"]).stem[-3:])] = gold[row["id"]].judges_regions
    assert judging == {
        ("boxed", DRAWN): True, ("boxed", NOTHING): True, ("boxed", WRITTEN): False, ("told", WRITTEN): False,
    }  # fmt: skip
    assert initial_details(record).num_gold == 3, "people said something of three"
