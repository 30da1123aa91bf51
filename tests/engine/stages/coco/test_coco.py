"""COCO json that pycocotools reads: the same boxes and captions as the shards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.coco.stage import CocoExporter, CocoSummary
from tests.browser.synthetic import BOX, HOSTILE, WH, synthetic_root
from tests.known_faults.field import A, B, box, image, labels, write, write_pictures
from tests.known_faults.in_process import new_root, plain_config


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CocoSummary]:
    pipeline = synthetic_root(tmp_path_factory.mktemp("coco"), 3)
    with Pipeline(pipeline.store, pipeline.config) as again:
        summary = again.run(CocoExporter(CocoExporter.Params(images=True)))
    return Path(pipeline.store.path("coco")), summary


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools 2.0.11 on numpy 2.4
def test_regions(written: tuple[Path, CocoSummary], capsys: pytest.CaptureFixture[str]) -> None:
    folder, summary = written
    coco = COCO(str(folder / "instances.json"))
    assert len(coco.imgs) == summary.images == 3
    assert len(coco.anns) == summary.regions
    human = [a for a in coco.anns.values() if a["fld_annotator"] == "human"]
    assert [a["bbox"] for a in human] == [[BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]] * 3
    assert coco.loadCats(human[0]["category_id"])[0]["name"] == "<i onclick=window.harmed=7>box</i>"
    for annotation in human:  # without a mask, there is no outline that somebody might take for one
        assert annotation["segmentation"] == []
        assert annotation["area"] == (BOX[2] - BOX[0]) * (BOX[3] - BOX[1])


def test_captions_and_images(written: tuple[Path, CocoSummary], capsys: pytest.CaptureFixture[str]) -> None:
    folder, summary = written
    coco = COCO(str(folder / "captions.json"))
    assert sorted(a["caption"] for a in coco.anns.values()) == sorted(HOSTILE[:3])
    assert summary.captions == 3
    for listed in coco.imgs.values():
        with Image.open(folder / "images" / listed["file_name"]) as picture:
            assert picture.size == (listed["width"], listed["height"]) == WH
            assert picture.format == "JPEG"


def test_what_is_exported_comes_back_and_is_exported_the_same(tmp_path: Path) -> None:
    """Boxes of a model that came back as people's, with score 1, would never be judged again."""
    write_pictures(tmp_path / "images", "1.jpg", "2.jpg")
    by = {"fld_model": "m/detector", "fld_revision": "abc", "fld_round": 2}
    outline = [[20, 30, 70, 30, 70, 70, 20, 70]]
    tree = labels(
        [image(1, "1.jpg", license=7, neg_category_ids=[2]), image(2, "2.jpg", fld_labels=[{"label": "tea"}])],
        [
            box(1, 1, 1, A, segmentation=outline, score=0.75, fld_annotator="detector", **by),
            box(2, 1, 2, B),
            box(3, 2, 3, B, score=0.5, fld_annotator="refinement", **by),
            {"id": 4, "image_id": 2, "caption": "a cup", "granularity": "detailed"},
            {"id": 5, "image_id": 2, "caption": "a pot", "fld_annotator": "web", "score": 0.25},
        ],
        "Cup", "pot", "cup",
    )  # fmt: skip
    write(tmp_path / "labels.json", {**tree, "licenses": [{"id": 7, "name": "CC BY 4.0", "url": ""}]})
    given = {"url": f"{tmp_path}/labels.json", "images_url": f"{tmp_path}/images", "name": "src"}
    first = exported_by(tmp_path / "first", given)
    again = [{"url": str(first / name), "images_url": str(first / "images")} for name in FILES]
    second = exported_by(tmp_path / "second", again[0] | {"name": "src"}, again[1] | {"name": "captions"})
    told = [[json.loads((folder / name).read_text()) for name in FILES] for folder in (first, second)]
    assert told[0] == told[1]
    instances, captions = told[0]
    assert [one["name"] for one in instances["categories"]] == ["Cup", "pot"], "one category, whatever its letters"
    assert sorted((a["score"], a["fld_annotator"], a["fld_round"]) for a in instances["annotations"]) == [
        (0.5, "refinement", 2),
        (0.75, "detector", 2),
        (1.0, "human", 0),
    ]
    assert [bool(a["segmentation"]) for a in sorted(instances["annotations"], key=lambda a: a["score"])] == [
        False,
        True,
        False,
    ]
    assert sorted((a["caption"], a["granularity"], a["fld_origin"], a["score"]) for a in captions["annotations"]) == [
        ("a cup", "detailed", "human", 1.0),
        ("a pot", "brief", "web", 0.25),
    ]
    assert [one["name"] for one in instances["licenses"]] == ["CC BY 4.0"]
    said = [{key: [c["label"] for c in one.get(key, [])] for key in CLASSES} for one in instances["images"]]
    assert {"fld_labels": [], "fld_absences": ["pot"]} in said
    assert {"fld_labels": ["tea"], "fld_absences": []} in said


FILES = ("instances.json", "captions.json")
CLASSES = ("fld_labels", "fld_absences")


def exported_by(folder: Path, *sources: dict[str, str]) -> Path:
    root = new_root(folder, plain_config(*sources))
    root.run_all()
    root.run(CocoExporter(CocoExporter.Params(images=True)))
    return Path(root.store.path("coco"))
