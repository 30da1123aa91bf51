"""What a round proposes is looked at as it would stand: with the masks and groundings that would be made of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.refinement.scenes import Scene
from fld_engine.engine.plan.config import RunConfig
from fld_engine.engine.plan.rounds import RoundRecord, plan_of, plan_of_labels
from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.refinement.labels.dependents import Dependents
from fld_engine.refinement.labels.image import LabelledImage
from fld_engine.refinement.labels.ledger import Edit
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.proposal import Proposal
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.schemas.annotations import Source
from tests.refinement.truthful import annotated_root
from tests.roots import opened

NUM, NUM_GOLD = 8, 6
SOURCE = Source(annotator="refinement", model="student", revision="r", round=1)
AWAY = (1.0, 2.0, 9.0, 8.0)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, RunConfig]:
    """A root whose specialist tells the truth, with gold that has masks; masks and groundings follow from labels."""
    return annotated_root(
        tmp_path,
        monkeypatch,
        num=NUM,
        num_gold=NUM_GOLD,
        say=outline_boxes,
        annotators={"masks": ("box-filler", {}), "grounder": ("name-grounder", {})},
    )


def outline_boxes(drawn: Sequence[Scene], gold: Path) -> None:
    """Every box of gold gets a mask that fills it."""
    tree = json.loads(gold.read_text())
    for row in tree["annotations"]:
        if "bbox" in row:
            x, y, width, height = row["bbox"]
            row["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    gold.write_text(json.dumps(tree))


def dependents_after(
    pipeline: Pipeline, loop: Loop, first: RoundRecord, image: LabelledImage, *edits: Edit
) -> Dependents:
    return Proposal(pipeline, loop.files, 1, first, SOURCE)([image.id], edits)[image.id]


def edit(image: LabelledImage, what: str, table: str, identity: str, **new: object) -> Edit:
    return Edit.model_validate(
        {
            "unit": "texts" if table == "texts" else "regions", "image_id": image.id, "table": table,
            "annotation_id": identity, "what": what, "new": new, "why": "by hand",
        }
    )  # fmt: skip


@pytest.mark.long
def test_masks_and_groundings_are_those_of_the_proposed_labels(made: tuple[Path, RunConfig]) -> None:
    root, config = made
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, RefineConfig())
        first = loop.initial_round()
        assert all("masks" not in partition.unseen.files for partition in first.partitions), "made again, not carried"
        image = next(i for p in first.partitions for i in loop.files.images(p) if i.gold_split)
        (gold,) = (loop.files.gold(p)[image.id] for p in first.partitions if image.id in loop.files.gold(p))
        assert gold.has_dependents
        (region,), (text,) = image.regions, image.texts
        now = dependents_after(pipeline, loop, first, image)
        assert now.masks[region.id] == gold.masks[0], "the specialist tells the truth"
        assert [(phrase, boxes.tolist()) for phrase, boxes in now.phrases] == [(region.label, [list(region.box_xyxy)])]
        written = pipeline.work.outputs_written
        dependents_after(pipeline, loop, first, image)
        assert pipeline.work.outputs_written == written, "nothing is made twice"

        said = f"Beside it, {region.label}."
        after = dependents_after(
            pipeline,
            loop,
            first,
            image,
            edit(image, "moved", "regions", region.id, box=AWAY),
            edit(image, "rewritten", "texts", text.id, text=said),
        )
        assert after.masks == {region.id: ((1.0, 2.0, 9.0, 2.0, 9.0, 8.0, 1.0, 8.0),)}
        assert [(phrase, boxes.tolist()) for phrase, boxes in after.phrases] == [(region.label, [list(AWAY)])]

        standing = plan_of(pipeline.store, config, 0)
        assert set(standing.graph.order) == {"masks", "grounder"}
        folder_alone = config.model_copy(update={"sources": config.sources[:1]})
        order = plan_of_labels(pipeline.store, folder_alone, ()).graph.order
        assert set(order) == {"masks", "grounder"}, "labels bring what they need, whatever the source"
