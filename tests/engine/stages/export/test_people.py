"""Scene text and groundings of people, from the json that a source is to the targets that an export has of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fld_engine.engine.data.journal import read_journal
from fld_engine.engine.inspect.status import read_status
from fld_engine.engine.stages.export.verify import verify
from fld_engine.schemas.reader import open_export
from tests.roots import fake_config, run_pipeline, write_photographs

CAPTION = "A kite above a dog and the dog."
IMAGE_WH = (96, 72)
"""So that a bin of the target language is 0.096 by 0.072 pixels: (24.01, 18.01) is in bins 250 and 250."""


def quarters(x: int, y: int, width: int, height: int) -> list[float]:
    """COCO's box from quarters of the image, a little inside the bins."""
    return [24 * x + 0.01, 18 * y + 0.01, 24 * width, 18 * height]


def write_labels(folder: Path) -> Path:
    (name,) = [path.name for path in folder.glob("*.jpg")]
    x1, y1, x2, y2 = 24.01, 18.01, 48.01, 36.01
    told: list[dict[str, Any]] = [
        {"bbox": quarters(1, 1, 1, 1), "utf8_string": "STOP", "points": [x1, y1, x1, y2, x2, y2, x2, y1]},
        {"bbox": quarters(2, 0, 1, 1), "utf8_string": "GO"},
        {"bbox": quarters(0, 3, 1, 1), "utf8_string": "."},
        {"bbox": quarters(0, 0, 1, 1), "tokens_positive": [[0, 6]]},
        {"bbox": quarters(2, 2, 1, 1), "tokens_positive": [[13, 18], [23, 30]]},
        {"bbox": quarters(1, 2, 1, 1), "tokens_positive": [[13, 14], [15, 18]]},
        {"bbox": quarters(1, 1, 1, 1), "tokens_positive": [[40, 42]]},
    ]
    image = {"id": 1, "file_name": name, "width": IMAGE_WH[0], "height": IMAGE_WH[1], "caption": CAPTION}
    annotations = [{"id": i, "image_id": 1, **row} for i, row in enumerate(told)]
    (folder / "labels.json").write_text(json.dumps({"images": [image], "annotations": annotations}))
    return folder / "labels.json"


def tokens(*bins: int) -> str:
    return "".join(f"<loc_{q}>" for q in bins)


def test_targets_say_what_people_read_and_where_they_put_phrases(tmp_path: Path) -> None:
    write_photographs(tmp_path / "photos", 1)
    labels = write_labels(tmp_path / "photos")
    source = {"url": str(labels), "name": "labels", "kind": "coco"}
    pipeline = run_pipeline(
        tmp_path / "root", fake_config(tmp_path, sources=[source], export={"splits": {"train": 1.0}})
    )
    status = read_status(pipeline.plan(), read_journal(pipeline.store))
    assert status.rejected_annotations == {"illegible": 1, "bad_span": 1}
    export = str(tmp_path / "root/export")
    assert verify(export).ok
    ((sample, _),) = open_export(export, "train").epoch(epoch=0, seed=0)
    by_task: dict[str, list[tuple[str, str]]] = {}
    for target in sample.record["targets"]:
        by_task.setdefault(target["task"], []).append((target["prompt"], target["target"]))
    stop, go = tokens(250, 250, 500, 250, 500, 500, 250, 500), tokens(500, 0, 750, 0, 750, 250, 500, 250)
    assert [target for _, target in by_task["<OCR_WITH_REGION>"]] == [f"GO{go}STOP{stop}"], "from top to bottom"
    assert [target for _, target in by_task["<OCR>"]] == ["GO STOP"]
    kite, first, second = tokens(0, 0, 250, 250), tokens(250, 500, 500, 750), tokens(500, 500, 750, 750)
    assert by_task["<CAPTION_TO_PHRASE_GROUNDING>"] == [
        (f"Locate the phrases in the caption: {CAPTION}", f"A kite{kite}a dog{first}{second}the dog{second}")
    ]
    assert [target for _, target in by_task["<CAPTION>"]] == [CAPTION]
