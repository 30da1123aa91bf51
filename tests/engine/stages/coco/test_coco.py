"""COCO json that pycocotools reads: the same boxes and captions as the shards."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from pycocotools.coco import COCO

from fld_engine.engine.run.pipeline import Pipeline
from fld_engine.engine.stages.coco.stage import CocoExporter, CocoSummary
from tests.browser.synthetic import BOX, HOSTILE, WH, synthetic_root


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
    human = [a for a in coco.anns.values() if a["annotator"] == "human"]
    assert [a["bbox"] for a in human] == [[BOX[0], BOX[1], BOX[2] - BOX[0], BOX[3] - BOX[1]]] * 3
    assert coco.loadCats(human[0]["category_id"])[0]["name"] == "<i onclick=window.harmed=7>box</i>"
    for annotation in human:  # without a mask, the segmentation is the box
        mask = coco.annToMask(annotation)
        assert mask.shape == (WH[1], WH[0])
        assert mask.sum() == annotation["area"] == (BOX[2] - BOX[0]) * (BOX[3] - BOX[1])


def test_captions_and_images(written: tuple[Path, CocoSummary], capsys: pytest.CaptureFixture[str]) -> None:
    folder, summary = written
    coco = COCO(str(folder / "captions.json"))
    assert sorted(a["caption"] for a in coco.anns.values()) == sorted(HOSTILE[:3])
    assert summary.captions == 3
    for image in coco.imgs.values():
        with Image.open(folder / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"]) == WH
            assert picture.format == "JPEG"
