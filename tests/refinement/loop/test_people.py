"""Gold that a source brings is what a round is measured by: scene text and groundings, from the json to the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks.refinement.scenes import Scene
from fld_engine.engine.plan.config import RunConfig
from fld_engine.refinement.gate.gating import JudgedPartition, decide_round
from fld_engine.refinement.labels.judgement import Judgement
from fld_engine.refinement.loop.loop import Loop
from fld_engine.refinement.loop.proposal import Proposal
from fld_engine.refinement.loop.settings import RefineConfig
from fld_engine.schemas.annotations import Source
from tests.refinement.tiny import IMAGE_PX
from tests.refinement.truthful import annotated_root
from tests.roots import opened

NUM, NUM_GOLD = 14, 12
READ = (1.0, 1.0, 17.0, 9.0)
"""Where the reader reads STOP in every image."""
ELSEWHERE = [18, 20, 10, 8]
"""x y width height of what no specialist says anything about."""


def people_say(drawn: Sequence[Scene], gold: Path) -> None:
    """A caption with two phrases, a word that is read, one that is not, and one that nobody could read."""
    images, rows = [], []
    for i, scene in enumerate(drawn[-NUM_GOLD:], start=NUM - NUM_GOLD):
        (thing,) = scene.things
        x1, y1, x2, y2 = thing.box_xyxy
        caption = f"On a floor, a {thing.label}."
        images.append({"id": i, "file_name": f"{i:05d}.png", "width": IMAGE_PX, "height": IMAGE_PX, "caption": caption})
        name = caption.index(f"a {thing.label}")
        rows += [
            {"image_id": i, "bbox": [1, 1, 16, 8], "utf8_string": "STOP", "legibility": "legible"},
            {"image_id": i, "bbox": ELSEWHERE, "utf8_string": "GO"},
            {"image_id": i, "bbox": [18, 1, 12, 8], "utf8_string": "."},
            {
                "image_id": i, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1],
                "tokens_positive": [[name, len(caption) - 1]],
            },
            {"image_id": i, "category_id": 1, "bbox": ELSEWHERE, "tokens_positive": [[3, 10]]},
        ]  # fmt: skip
    annotations = [{"id": i, **row} for i, row in enumerate(rows)]
    tree = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}
    gold.write_text(json.dumps(tree))


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, RunConfig]:
    """A root whose specialist tells the truth, and whose gold has scene text and groundings, and no named box."""
    return annotated_root(
        tmp_path,
        monkeypatch,
        num=NUM,
        num_gold=NUM_GOLD,
        say=people_say,
        annotators={
            "grounder": ("name-grounder", {}),
            "reader": ("word-reader", {"word": "STOP", "box_xyxy": READ}),
        },
    )


@pytest.mark.long
def test_scene_text_and_groundings_of_people_give_their_figures(made: tuple[Path, RunConfig]) -> None:
    root, config = made
    with opened(root, config) as pipeline:
        loop = Loop(pipeline, RefineConfig())
        first = loop.initial_round()
        assert loop.reference.has_gold
        partitions = []
        for partition in first.partitions:
            images = loop.files.images(partition)
            same = {i.id: Judgement(old=i.regions, seen=(), old_texts=i.texts, seen_texts=()) for i in images}
            partitions.append(JudgedPartition(images, same, loop.files.gold(partition)))
        num_gate = sum(image.gold_split == "gate" for part in partitions for image in part.images)
        assert num_gate > 1
        decision = decide_round(
            partitions,
            merge=loop.settings.rules.merge,
            gate=loop.settings.rules.gate,
            round_=1,
            seed=config.seed,
            dependents_after=Proposal(
                pipeline, loop.files, 1, first, Source(annotator="refinement", model="student", revision="r", round=1)
            ),
        )
    figures = {f"{figure.unit} {figure.metric}": figure.before for figure in decision.measured}
    assert figures.pop("texts cider") > 0, "the caption of a record of images is a caption"
    assert figures == {
        "regions character_error": round(2 / 6, 4),  # of STOP and GO, the second is not read; the third does not count
        "texts grounding_recall@0.5": 0.5,  # of the object and the floor, the second is not found
    }, "neither words nor phrases are objects"
